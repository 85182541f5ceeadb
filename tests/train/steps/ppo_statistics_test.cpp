#include <coho/train/steps/ppo_statistics.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("phases add up, and states compare by all they hold") {
  const ppo_phases phases{.generation = 1, .policy = 2, .reference = 4, .values = 8, .rewards = 16, .update = 32};
  CHECK(phases.total() == 63);
  const ppo_state state{.step = 3, .seed = 1, .kl = {0.02}};
  CHECK(state == ppo_state{.step = 3, .seed = 1, .kl = {0.02}});
  CHECK(state != ppo_state{.step = 4, .seed = 1, .kl = {0.02}});
  CHECK(state != ppo_state{.step = 3, .seed = 2, .kl = {0.02}});
  CHECK(state != ppo_state{.step = 3, .seed = 1, .kl = {0.03}});
}
