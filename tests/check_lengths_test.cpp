#include <cstddef>
#include <vector>

#include <coho/check_lengths.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::detail::check_lengths, coho::detail::check_offsets;

TEST_CASE("lengths that differ are named with what was expected") {
  CHECK_NOTHROW(check_lengths(3, 3, "gae", "values"));
  CHECK_THROWS_WITH(check_lengths(3, 2, "gae", "values"), "gae: values has 2 elements where 3 were expected");
}

TEST_CASE("offsets start with 0, do not decrease and end at the total") {
  const auto check = [](std::vector<std::size_t> offsets, std::size_t total) { check_offsets(offsets, total, "gae"); };
  CHECK_NOTHROW(check({0, 2, 2, 5}, 5));
  CHECK_NOTHROW(check({0}, 0));
  CHECK_THROWS_WITH(check({}, 0), ContainsSubstring("must start with 0"));
  CHECK_THROWS_WITH(check({1, 5}, 5), ContainsSubstring("must start with 0"));
  CHECK_THROWS_WITH(check({0, 3, 2, 5}, 5), "gae: offsets decrease at entry 2");
  CHECK_THROWS_WITH(check({0, 4}, 5), "gae: offsets end at 4, but there are 5 tokens");
  const std::vector<std::size_t> groups{0, 4};
  CHECK_THROWS_WITH(check_offsets(groups, 5, "grpo", {.offsets = "groups", .elements = "responses"}),
                    "grpo: groups end at 4, but there are 5 responses");
}
