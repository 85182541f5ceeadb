#pragma once

#include <cstddef>
#include <cstdint>

#include <coho/reward/normalization.hpp>
#include <coho/rollout/trajectory.hpp>

#include "distributed/process_group.hpp"
#include "models/prompter.hpp"
#include "roles/policy_role.hpp"
#include "roles/reward_role.hpp"
#include "rollouts/rl_prompts.hpp"

namespace coho::trainer {

/// The responses that `initial_scale` samples, and what scores them.
struct scored_sampling {
  policy_role& policy;
  reward_role& reward;
  const prompter& decoder;
  const rl_prompt_source& source;
  const generation_options& generation;
};

/// Mean and deviation of a reward model's scores of at least `samples` responses of the initial policy: the
/// scale that KL coefficient and bonuses are chosen for. Each rank answers its shards; all call together.
normalize_options initial_scale(const scored_sampling& sampling, std::size_t samples, std::uint64_t seed,
                                process_group& ranks);

}  // namespace coho::trainer
