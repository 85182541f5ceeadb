#include <cmath>
#include <vector>

#include <coho/train/steps/collect_rollouts.hpp>

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
  return collect_rollouts(ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer},
                          prompts, options, step, statistics);
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
  const ppo_models models{policy, policy, value, reward, optimizer};
  for (policy.way = 0; policy.way < 4; ++policy.way) {
    ppo_statistics statistics;
    CHECK_THROWS_AS(
        collect_rollouts(models, std::vector<rl_prompt>{{.tokens = {1}, .key = 0}}, ppo_options{}, 0, statistics),
        argument_error);
  }
}
