#include <coho/reward/breakdown.hpp>

#include "support/catch.hpp"

using coho::reward_breakdown;

TEST_CASE("the parts of a reward add up") {
  const reward_breakdown parts{
      .score = 0.5, .bonus = {{"language", 2}, {"length", 4}}, .empty = -1.5, .unfinished = -6};
  CHECK(parts.earned() == 5);
  CHECK(parts.total() == -1);
  CHECK(parts.part("length") == 4);
  CHECK(parts.part("politeness") == 0);
  CHECK(reward_breakdown{}.total() == 0);
}
