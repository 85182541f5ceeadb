#include <cstddef>
#include <functional>
#include <vector>

#include <coho/detail/stable_sort.hpp>

#include "support/catch.hpp"

TEST_CASE("equal elements keep their order when sorted") {
  const std::vector<std::size_t> lengths{5, 9, 5, 1, 9, 5};
  std::vector<std::size_t> order{4, 0, 1, 2, 3, 5};
  coho::detail::stable_sort(order, [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; });
  CHECK(order == std::vector<std::size_t>{4, 1, 0, 2, 5, 3});
  std::vector<std::size_t> none;
  coho::detail::stable_sort(none, std::less<>{});
  CHECK(none.empty());
}
