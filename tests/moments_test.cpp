#include <cmath>
#include <cstddef>
#include <vector>

#include <coho/eigen/as_array.hpp>
#include <coho/moments.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::deviation;

TEST_CASE("long arrays, with every remainder of the blocks") {
  for (const Eigen::Index size : {1, 7, 8, 9, 2047, 2048, 2049, 5003}) {
    const Eigen::ArrayXd x = normals(size, 5) * 3 + 1;
    const coho::moments m = coho::detail::global_moments(
        coho::as_span(x), coho::detail::all_real{static_cast<std::size_t>(size)}, deviation::population, coho::local);
    CHECK(m.mean == Approx(x.mean()).epsilon(1e-12));
    CHECK(m.deviation == Approx(std::sqrt((x - x.mean()).square().mean())).epsilon(1e-12).margin(1e-12));
    CHECK(m.count == static_cast<double>(size));
  }
}

TEST_CASE("numbers added one by one, and parts merged, have the moments of the whole, far from 0 too") {
  const Eigen::ArrayXd x = normals(500, 23) + 1e6;
  coho::detail::moment_sums whole, left, right, none;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    whole.add(x[i]);
    (i < 123 ? left : right).add(x[i]);
  }
  left.merge(right);
  left.merge(none);
  none.merge(left);
  const double shift = (x - 1e6).mean(), squares = (x - 1e6 - shift).square().sum();
  for (const auto* sums : {&whole, &left, &none}) {
    CHECK(sums->count == 500);
    CHECK(sums->mean - 1e6 == Approx(shift).margin(1e-7));
    CHECK(sums->squares == Approx(squares).epsilon(1e-7));
  }
}
