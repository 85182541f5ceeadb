#include "optimization/moment_type.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("moment type: each has the name that recipes spell") {
  CHECK(name_of(moment_type::float32) == "float32");
  CHECK(name_of(moment_type::bfloat16) == "bfloat16");
  CHECK(name_of(moment_type::eight_bit) == "8bit");
  for (const auto type : {moment_type::float32, moment_type::bfloat16, moment_type::eight_bit})
    CHECK(moment_type_named(name_of(type)) == type);
  CHECK_THROWS_AS(moment_type_named("fp8"), coho::option_error);
}
