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
