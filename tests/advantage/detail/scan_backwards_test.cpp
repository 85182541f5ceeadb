#include <cstddef>
#include <vector>

#include <coho/advantage/detail/scan_backwards.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("sequences are scanned from their last token, each from a fresh state") {
  struct state {
    std::size_t steps = 0;
  };
  std::vector<std::size_t> order, steps;
  coho::detail::scan_backwards<state>(offsets{0, 2, 2, 5}, [&](std::size_t t, state& s) {
    order.push_back(t);
    steps.push_back(++s.steps);
  });
  CHECK(order == std::vector<std::size_t>{1, 0, 4, 3, 2});
  CHECK(steps == std::vector<std::size_t>{1, 2, 1, 2, 3});
}

TEST_CASE("one number that is not finite is found in a long array") {
  Eigen::ArrayXd x = Eigen::ArrayXd::Constant(3000, 1e308);
  CHECK(coho::detail::all_finite(x));
  for (const double bad : {not_a_number, infinity, -infinity}) {
    x[2500] = bad;
    CHECK_FALSE(coho::detail::all_finite(x));
  }
}
