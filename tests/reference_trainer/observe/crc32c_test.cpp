#include "observe/crc32c.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("crc32c gives the published check value") {
  CHECK(crc32c("123456789") == 0xE3069283u);
  CHECK(crc32c("") == 0);
}
