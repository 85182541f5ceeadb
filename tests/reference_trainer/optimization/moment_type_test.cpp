#include "optimization/moment_type.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("moment type: each has the name that recipes spell") {
  CHECK(moment_type_name(moment_type::float32) == "float32");
  CHECK(moment_type_name(moment_type::bfloat16) == "bfloat16");
  CHECK(moment_type_name(moment_type::eight_bit) == "8bit");
  for (const auto type : {moment_type::float32, moment_type::bfloat16, moment_type::eight_bit})
    CHECK(parse_moment_type(moment_type_name(type)) == type);
  CHECK_THROWS_AS(parse_moment_type("fp8"), coho::option_error);
}
