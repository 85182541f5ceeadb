#include <cmath>

#include <coho/kl/ratio_divergence.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("the divergence of ratios is the sum of ρ − 1 − log ρ, with log ρ limited to ±20") {
  const Eigen::ArrayXd now = array({std::log(0.5), std::log(1.5), 0}), old = array({0, 0, 0});
  CHECK(coho::detail::ratio_divergence(now, old) == Approx(0.5 - 1 - std::log(0.5) + 0.5 - std::log(1.5)));
  CHECK(coho::detail::ratio_divergence(array({30}), array({0})) == Approx(std::exp(20.0) - 21));
}
