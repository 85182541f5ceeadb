#include <cstdint>
#include <utility>

#include <coho/train/ppo.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"

using namespace coho;
using coho::test::small_world;

namespace {

// Trains with a rate that falls to 0, so that the noise of sampling dies away.
double distance_after_training(kl_estimator estimator) {
  small_world world;
  auto options = small_world::options();
  options.shaping.estimator = estimator;
  options.whiten_advantages = false;
  options.seed = 3;
  options.epochs = 1;
  options.learning_rate = {.peak = 0.1, .kind = schedule_kind::linear, .total_steps = 250};
  auto trainer = world.trainer(options);
  const auto source = [](std::uint64_t) { return small_world::prompts(256); };
  trainer.run(source, 250);
  return small_world::total_variation(small_world::distribution(world.policy), world.optimum(0.5));
}

}  // namespace

TEST_CASE("KL-penalised PPO reaches pi_init * exp(r / beta)") {
  const small_world untrained;
  CHECK(small_world::total_variation(small_world::distribution(untrained.initial), untrained.optimum(0.5)) > 0.15);
  CHECK(distance_after_training(kl_estimator::k1) <= 0.02);
}

TEST_CASE("a penalty clamped at zero does not reach it") {
  CHECK(distance_after_training(kl_estimator::k1_clamped) > 0.05);
}

TEST_CASE("k3 as a part of the reward does not reach it either") {
  // E[k3] is the KL, but the gradient of the policy through a reward of k3 is not that of the KL.
  CHECK(distance_after_training(kl_estimator::k3) > 0.05);
}
