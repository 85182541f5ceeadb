#include <vector>

#include <coho/advantage/detail/count_real.hpp>

#include "support/catch.hpp"

TEST_CASE("count_real counts what is not masked, within the range") {
  const std::vector<int> mask{1, 0, 1, 1, 0};
  CHECK(coho::detail::count_real(mask, 0, 5) == 3);
  CHECK(coho::detail::count_real(mask, 1, 4) == 2);
  CHECK(coho::detail::count_real(mask, 4, 4) == 0);
}
