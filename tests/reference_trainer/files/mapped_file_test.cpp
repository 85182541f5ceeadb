#include "files/mapped_file.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;

TEST_CASE("a mapped file shows the file's bytes, and writing to them leaves the file alone") {
  const coho::test::temporary_directory folder;
  coho::test::write_bytes(folder / "a", "abc");
  const mapped_file file(folder / "a");
  REQUIRE(file.bytes().size() == 3);
  CHECK(file.bytes()[2] == std::byte{'c'});
  const_cast<std::byte&>(file.bytes()[2]) = std::byte{'x'};
  CHECK(file.bytes()[2] == std::byte{'x'});
  CHECK(coho::test::read_bytes(folder / "a") == "abc");
}

TEST_CASE("an empty file maps to nothing; directories and absent files are refused") {
  const coho::test::temporary_directory folder;
  coho::test::write_bytes(folder / "empty", "");
  CHECK(mapped_file(folder / "empty").bytes().empty());
  CHECK_THROWS_WITH(mapped_file(folder.path()), Catch::Matchers::ContainsSubstring("is not a plain file"));
  CHECK_THROWS_WITH(mapped_file(folder / "none"), Catch::Matchers::ContainsSubstring("none: cannot be read"));
}
