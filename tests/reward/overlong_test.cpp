#include <cmath>
#include <vector>

#include <coho/reward/overlong.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::overlong_penalty;

TEST_CASE("overlong ramp of at most 100 tokens with a cache of 20") {
  const overlong_penalty overlong{{.max_response_tokens = 100, .cache_tokens = 20}};
  CHECK(overlong(50) == 0);
  CHECK(overlong(90) == Approx(-0.5));
  CHECK(overlong(110) == -1);
  // The ends of the ramp, from both sides.
  CHECK(overlong(80) == 0);
  CHECK_FALSE(std::signbit(overlong(80)));
  CHECK(overlong(81) == Approx(-0.05));
  CHECK(overlong(99) == Approx(-0.95));
  CHECK(overlong(100) == -1);
  CHECK(overlong(0) == 0);
}

TEST_CASE("overlong penalties of queries, with a factor, and with nothing free") {
  const std::vector<coho::token> response(90);
  CHECK(overlong_penalty{{.max_response_tokens = 100, .cache_tokens = 20, .penalty = 3}}(
            coho::reward_query{.response_tokens = response}) == Approx(-1.5));
  CHECK(overlong_penalty{{.max_response_tokens = 100, .cache_tokens = 100}}(90) == Approx(-0.9));
  CHECK(overlong_penalty{{.max_response_tokens = 100, .cache_tokens = 20, .penalty = 0}}(200) == 0);
  // DAPO's own lengths.
  CHECK(overlong_penalty{}(16384) == 0);
  CHECK(overlong_penalty{}(18432) == Approx(-0.5));
  CHECK(overlong_penalty{}(20480) == -1);
}

TEST_CASE("unusable options of the overlong ramp") {
  CHECK_THROWS_WITH(overlong_penalty({.max_response_tokens = 0}), Catch::Contains("max_response_tokens"));
  CHECK_THROWS_AS(overlong_penalty({.max_response_tokens = infinity}), coho::option_error);
  CHECK_THROWS_WITH(overlong_penalty({.cache_tokens = 0}), Catch::Contains("cache_tokens"));
  CHECK_THROWS_AS(overlong_penalty({.max_response_tokens = 10, .cache_tokens = 11}), coho::option_error);
  CHECK_THROWS_AS(overlong_penalty({.cache_tokens = not_a_number}), coho::option_error);
  CHECK_THROWS_WITH(overlong_penalty({.penalty = -1}), Catch::Contains("penalty"));
}
