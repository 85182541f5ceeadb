#include "files/atomic_file.hpp"

#include <coho/error.hpp>

#include "files/read_file.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using coho::test::read_bytes;
using coho::test::temporary_directory;

namespace {

std::size_t entries_of(const std::filesystem::path& directory) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

}  // namespace

TEST_CASE("an atomic file appears under its name at commit only") {
  const temporary_directory folder;
  const auto path = folder / "a.txt";
  {
    atomic_file file(path);
    file.write("hello ");
    file.write("world");
    CHECK_FALSE(std::filesystem::exists(path));
    CHECK(std::filesystem::exists(file.temporary_path()));
    file.commit();
    CHECK(read_bytes(path) == "hello world");
    CHECK_THROWS_AS(file.write("more"), coho::file_error);
    CHECK_THROWS_AS(file.commit(), coho::file_error);
  }
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("an atomic file that is not committed leaves the old content and nothing else") {
  const temporary_directory folder;
  const auto path = folder / "a.txt";
  write_file(path, "old");
  { atomic_file(path).write("new"); }
  CHECK(read_bytes(path) == "old");
  CHECK(entries_of(folder.path()) == 1);
  write_file(path, "new");
  CHECK(read_bytes(path) == "new");
}

TEST_CASE("an atomic file names its target where it cannot be written") {
  const temporary_directory folder;
  CHECK_THROWS_WITH(atomic_file(folder / "absent/a.txt"),
                    Catch::Matchers::ContainsSubstring("absent/a.txt: cannot be written"));
  std::filesystem::create_directory(folder / "taken");
  coho::test::write_bytes(folder / "taken/x", "x");
  atomic_file file(folder / "taken");
  CHECK_THROWS_WITH(file.commit(), Catch::Matchers::ContainsSubstring("cannot be renamed to its final name"));
}

TEST_CASE("read_file returns all bytes and keeps to its limit") {
  const temporary_directory folder;
  const auto path = folder / "a.bin";
  std::string bytes(100'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  write_file(path, bytes);
  CHECK(read_file(path) == bytes);
  CHECK(read_file(path, bytes.size()) == bytes);
  CHECK_THROWS_WITH(read_file(path, bytes.size() - 1), Catch::Matchers::ContainsSubstring("99999 bytes"));
  CHECK_THROWS_WITH(read_file(folder / "none"), Catch::Matchers::ContainsSubstring("cannot be read"));
  CHECK_THROWS_WITH(read_file(folder.path()), Catch::Matchers::ContainsSubstring("is a directory"));
  copy_atomically(path, folder / "b.bin");
  CHECK(read_bytes(folder / "b.bin") == bytes);
}
