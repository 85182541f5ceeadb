#pragma once

#include <algorithm>
#include <cmath>

#include <Eigen/Core>

#include "support/catch.hpp"

namespace coho::test {

/// Checks dL/dx of a function of an array against central differences: |a − n| <= 1e-6·max(1, |a|, |n|).
/// Points where the function has a kink within the step must be avoided by the caller.
template <class F>
void check_gradient(const Eigen::ArrayXd& x, const Eigen::ArrayXd& analytic, F&& f, double step = 1e-5) {
  REQUIRE(x.size() == analytic.size());
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    Eigen::ArrayXd up = x, down = x;
    up[i] += step;
    down[i] -= step;
    const double numeric = (f(up) - f(down)) / (2 * step), a = analytic[i];
    INFO("element " << i << ": closed form " << a << ", central difference " << numeric);
    CHECK(std::abs(a - numeric) <= 1e-6 * std::max({1.0, std::abs(a), std::abs(numeric)}));
  }
}

}  // namespace coho::test
