#include "files/file_descriptor.hpp"

#include <array>
#include <fcntl.h>
#include <string_view>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;

TEST_CASE("file descriptors: bytes are read at an offset, fewer at the end of the file") {
  const coho::test::temporary_directory folder;
  file_descriptor file(::open((folder / "a.txt").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(file.is_open());
  CHECK(write_all(file.number(), "hello "));
  CHECK(write_all(file.number(), "world"));
  std::array<char, 5> out{};
  CHECK(read_at(file.number(), out, 6) == 5);
  CHECK(std::string_view(out.data(), 5) == "world");
  CHECK(read_at(file.number(), out, 9) == 2);
  CHECK(read_at(file.number(), out, 11) == 0);
}

TEST_CASE("file descriptors: a closed one refuses, a moved one is closed once") {
  CHECK_FALSE(write_all(-1, "x"));
  std::array<char, 1> out{};
  CHECK(read_at(-1, out, 0) == -1);
  file_descriptor first(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const int number = first.number();
  file_descriptor second(std::move(first));
  CHECK_FALSE(first.is_open());
  CHECK(second.number() == number);
  second.close();
  CHECK_FALSE(second.is_open());
}
