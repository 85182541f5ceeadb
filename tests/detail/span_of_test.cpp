#include <span>
#include <type_traits>
#include <vector>

#include <coho/detail/span_of.hpp>

#include "support/catch.hpp"

using coho::detail::span_of;

TEST_CASE("a span over an array or a container sees its elements") {
  std::vector<int> numbers{1, 2, 3};
  span_of(numbers)[1] = 5;
  CHECK(numbers[1] == 5);
  CHECK(span_of(numbers).size() == 3);

  double pair[2]{1, 2};
  CHECK(span_of(pair).size() == 2);
  CHECK(span_of(pair + 1, 1)[0] == 2);

  const std::vector<int> constant(4);
  STATIC_REQUIRE(std::is_same_v<decltype(span_of(constant)), std::span<const int>>);
  STATIC_REQUIRE(std::is_same_v<decltype(span_of(numbers)), std::span<int>>);
}
