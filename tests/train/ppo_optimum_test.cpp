#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

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

TEST_CASE("an empty response that the reward model loves is not found: it is worth the worst answer") {
  // The model pays 4 for the response that is only its end token, which no answer comes near.
  const std::vector<token> nothing{0};
  const auto reward = [](std::span<const reward_query> queries) {
    auto out = small_world::reward(queries);
    for (std::size_t i = 0; i < out.size(); ++i)
      if (queries[i].response.empty()) out[i] = 4;
    return out;
  };
  const auto decoder = [](std::span<const token> tokens) { return std::string(tokens[0] == 0 ? 0 : 1, 'x'); };
  const auto trained = [&](empty_response_rule rule) {
    small_world world;
    auto options = small_world::options();
    options.empty_responses = rule;
    options.whiten_advantages = false;
    options.seed = 3;
    options.epochs = 1;
    options.learning_rate = {.peak = 0.1, .kind = schedule_kind::linear, .total_steps = 250};
    ppo_trainer trainer{
        ppo_models{world.policy, world.initial, world.value, reward, world.optimizer, world.optimizer, decoder},
        options};
    trainer.run([](std::uint64_t) { return small_world::prompts(256); }, 250);
    return small_world::distribution(world.policy);
  };
  const small_world untrained;
  const auto before = small_world::distribution(untrained.initial);
  CHECK(trained(empty_response_rule::scored).at(nothing) > 0.95);

  // π* with r(empty) = the least reward of an answer.
  double least = 1, total = 0;
  for (const auto& [response, p] : before)
    if (response != nothing) least = std::min(least, small_world::reward_of(response));
  auto optimum = before;
  for (auto& [response, p] : optimum)
    total += p *= std::exp((response == nothing ? least : small_world::reward_of(response)) / 0.5);
  for (auto& [response, p] : optimum) p /= total;
  const auto after = trained(empty_response_rule::lowest);
  CHECK(small_world::total_variation(after, optimum) <= 0.02);
  CHECK(after.at(nothing) < before.at(nothing));
}

TEST_CASE("a penalty clamped at zero does not reach it") {
  CHECK(distance_after_training(kl_estimator::k1_clamped) > 0.05);
}

TEST_CASE("k3 as a part of the reward does not reach it either") {
  // E[k3] is the KL, but the gradient of the policy through a reward of k3 is not that of the KL.
  CHECK(distance_after_training(kl_estimator::k3) > 0.05);
}
