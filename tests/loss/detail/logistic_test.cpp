#include <cmath>

#include <coho/loss/detail/logistic.hpp>

#include "support/catch.hpp"

TEST_CASE("the logistic terms of one exponential agree with their definitions, far from 0 too") {
  for (const double z : {-800.0, -40.0, -2.0, -1e-9, 0.0, 0.5, 3.0, 40.0, 800.0}) {
    const auto terms = coho::detail::logistic(z);
    const auto softplus = [](double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); };
    CHECK(terms.softplus == Approx(softplus(z)).epsilon(1e-14));
    CHECK(terms.softplus_negated == Approx(softplus(-z)).epsilon(1e-14));
    CHECK(terms.sigmoid == Approx(1 / (1 + std::exp(-z))).epsilon(1e-14));
    CHECK(terms.sigmoid + terms.sigmoid_negated == Approx(1).epsilon(1e-15));
  }
  CHECK(coho::detail::logistic(40.0).sigmoid_negated == Approx(std::exp(-40.0)).epsilon(1e-14));
}
