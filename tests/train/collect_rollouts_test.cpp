#include <coho/train/collect_rollouts.hpp>
#include <coho/train/estimate_advantages.hpp>

#include <cmath>
#include <vector>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/small_world.hpp"

using namespace coho;
using coho::test::small_world;
namespace archetype = coho::test::archetype;

namespace {
trajectory_batch collected(small_world& world, const ppo_options& options, std::uint64_t step,
                           std::vector<rl_prompt> prompts) {
  ppo_statistics statistics;
  return collect_rollouts(ppo_models{.policy = world.policy,
                                     .reference = world.initial,
                                     .value = world.value,
                                     .reward = small_world::reward,
                                     .optimizer = world.optimizer},
                          prompts, options, step, statistics);
}

trajectory_batch by_hand() {
  trajectory_batch r;
  r.batch = {{{1}, {1}}, {{1, 2}, {0}}};
  r.finished = {0, 1};
  r.old_log_probs = r.recorded_log_probs = Eigen::ArrayXd{{-1.0, -2.0, -0.5}};
  r.reference_log_probs = Eigen::ArrayXd{{-1.5, -1.0, -0.5}};
  r.values = Eigen::ArrayXd{{0.1, 0.2, 0.3}};
  r.model_scores = r.sequence_rewards = Eigen::ArrayXd{{2.0, -1.0}};
  return r;
}

double shaped_reward_mean(const trajectory_batch& rollouts) {
  ppo_statistics statistics;
  detail::describe_rollouts(rollouts, local, statistics);
  return statistics.shaped_reward_mean;
}
}  // namespace

TEST_CASE("a rollout depends on seed, step and key alone") {
  small_world world;
  const auto options = small_world::options();
  const auto many = collected(world, options, 4, small_world::prompts(20));
  const auto alone = collected(world, options, 4, small_world::prompts(1, 13));
  CHECK(std::vector(many.batch.responses[13].begin(), many.batch.responses[13].end()) == alone.batch.responses.values);
  CHECK(collected(world, options, 5, small_world::prompts(20)).batch.responses != many.batch.responses);
  auto other = options;
  other.seed = 1;
  CHECK(collected(world, other, 4, small_world::prompts(20)).batch.responses != many.batch.responses);
}

TEST_CASE("every evaluation is there, at its place") {
  small_world world;
  for (Eigen::Index i = 0; i < world.value.table.size(); ++i) world.value.table(i) = static_cast<double>(i);
  for (auto& z : world.initial.logits.reshaped()) z = 0;
  auto prompts = small_world::prompts(6);
  for (auto& prompt : prompts) prompt.value_tokens = {2, 2};
  auto options = small_world::options();
  options.scoring_batch = {.sequences = 4};
  const auto r = collected(world, options, 0, prompts);
  CHECK(r.reference_log_probs.isApprox(Eigen::ArrayXd::Constant(r.reference_log_probs.size(), -std::log(3.0))));
  CHECK((r.old_log_probs - r.recorded_log_probs).abs().maxCoeff() < 1e-6);
  const auto values = world.value.values({r.value_prompts, r.batch.responses});
  for (Eigen::Index t = 0; t < r.values.size(); ++t) CHECK(r.values(t) == values[static_cast<std::size_t>(t)]);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(r.model_scores(static_cast<Eigen::Index>(i)) == small_world::reward_of(r.batch.responses[i]));
    CHECK(r.value_prompts[i].size() == 2);
  }
}

TEST_CASE("token rewards, returns and advantages by hand") {
  auto r = by_hand();
  ppo_options options;
  options.generation.max_new_tokens = 2;
  options.whiten_advantages = false;
  options.shaping.unfinished_penalty = -0.5;
  estimate_advantages(r, options, 0.1, local);
  // KL 0.5, −1, 0.
  CHECK(r.rewards.isApprox(Eigen::ArrayXd{{-0.05, 0.1 + 2 - 0.5, -1}}));
  CHECK(r.returns.isApprox(Eigen::ArrayXd{{1.55, 1.6, -1}}));
  CHECK(r.advantages.isApprox(Eigen::ArrayXd{{1.45, 1.4, -1.3}}));
  CHECK(shaped_reward_mean(r) == Approx((1.55 - 1) / 2));

  options.whiten_advantages = true;
  estimate_advantages(r, options, 0.1, local);
  CHECK(r.advantages.sum() == Approx(0).margin(1e-12));
  CHECK(r.advantages.square().mean() == Approx(1));
  CHECK(r.returns.isApprox(Eigen::ArrayXd{{1.55, 1.6, -1}}));  // not whitened
}

TEST_CASE("the padded layout of the released code") {
  auto r = by_hand();
  ppo_options options = ppo_options::salmon_code();
  options.generation.max_new_tokens = 3;
  estimate_advantages(r, options, 0.1, local);
  // Rewards ×10, KL clamped at 0, the reward in the third slot: the real tokens' own rewards hold only KL.
  CHECK(r.rewards.isApprox(Eigen::ArrayXd{{-0.5, 0, 0}}));
  // The mean counts what lies on padding: −0.5 + 10·(2 − 6) = −40.5 and 10·(−1).
  CHECK(shaped_reward_mean(r) == Approx((-40.5 - 10) / 2));
  // It still reaches them by γ = λ = 1: returns 10·(2 − 6) − 0.5, 10·(2 − 6), −10.
  CHECK(r.returns.isApprox(Eigen::ArrayXd{{-40.5, -40, -10}}));
  // Whitened over six slots: −40.6, −40.2, −40 and −10.3, −10, −10.
  const Eigen::ArrayXd slots{{-40.6, -40.2, -40, -10.3, -10, -10}};
  const double mean = slots.mean(), deviation = std::sqrt((slots - mean).square().mean());
  CHECK(r.advantages(0) == Approx((-40.6 - mean) / deviation));
  CHECK(r.advantages(2) == Approx((-10.3 - mean) / deviation));

  options.generation.max_new_tokens = 1;
  CHECK_THROWS_AS(estimate_advantages(r, options, 0.1, local), argument_error);
}

TEST_CASE("what generate returns is checked") {
  struct broken : archetype::trained_policy {
    int way = 0;
    generation generate(const packed<token>& prompts, const generation_options& options, std::span<rng> streams) {
      auto out = trained_policy::generate(prompts, options, streams);
      if (way == 0) out.finished.pop_back();
      if (way == 1) out.log_probs.push_back({-1.0F});
      if (way == 2) out.responses = out.log_probs.size() == 1 ? packed<token>{{}} : packed<token>{};
      if (way == 2) out.log_probs = packed<float>{{}};
      if (way == 3) out.log_probs.values[0] = std::nanf("");
      return out;
    }
  } policy;
  archetype::trained_value value;
  archetype::reward_model reward;
  archetype::optimizer optimizer;
  const ppo_models models{
      .policy = policy, .reference = policy, .value = value, .reward = reward, .optimizer = optimizer};
  for (policy.way = 0; policy.way < 4; ++policy.way) {
    ppo_statistics statistics;
    CHECK_THROWS_AS(
        collect_rollouts(models, std::vector<rl_prompt>{{.tokens = {1}, .key = 0}}, ppo_options{}, 0, statistics),
        argument_error);
  }
}
