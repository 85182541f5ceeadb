#include <vector>

#include <coho/loss/detail/elementwise.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("a number stands for each element, and arrays of another length are named") {
  const auto everywhere = coho::detail::input_elements(2.5, 3, "loss", "targets");
  CHECK(everywhere[0] == 2.5);
  CHECK(everywhere[2] == 2.5);
  const std::vector<double> three{1, 2, 3};
  CHECK(coho::detail::input_elements(three, 3, "loss", "targets")[1] == 2);
  CHECK_THROWS_WITH(coho::detail::input_elements(three, 2, "loss", "targets"),
                    "loss: targets has 3 elements where 2 were expected");
}
