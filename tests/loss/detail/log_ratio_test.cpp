#include <cmath>

#include <coho/loss/detail/log_ratio.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::detail::limited_log_ratio, coho::detail::token_divergence;

TEST_CASE("log-ratios are limited to ±20, and what is not finite becomes NaN") {
  CHECK(limited_log_ratio(0.5) == 0.5);
  CHECK(limited_log_ratio(21.0) == 20);
  CHECK(limited_log_ratio(-21.0) == -20);
  for (const double bad : {not_a_number, infinity, -infinity}) CHECK(std::isnan(limited_log_ratio(bad)));
}

TEST_CASE("ρ − 1 − log ρ is accurate on both sides of the switch from its series") {
  CHECK(token_divergence(1.0, 0.0) == 0);
  CHECK(token_divergence(std::exp(-1e-9), -1e-9) == Approx(5e-19).epsilon(1e-6));
  for (const double x : {-0.0101, -0.0099, 0.0099, 0.0101}) {
    CHECK(token_divergence(std::exp(x), x) == Approx(std::expm1(x) - x).epsilon(1e-9));
  }
  CHECK(token_divergence(2.0, std::log(2.0)) == Approx(1 - std::log(2.0)));
}
