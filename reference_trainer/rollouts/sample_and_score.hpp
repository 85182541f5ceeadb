#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/trajectory.hpp>

#include "models/prompter.hpp"
#include "roles/policy_role.hpp"
#include "roles/reward_role.hpp"

namespace coho::trainer {

/// Responses to prompts and what a reward model gives them.
struct scored_responses {
  token_batch batch;
  std::vector<std::uint8_t> finished;
  std::vector<std::string> texts;     ///< of the responses
  std::vector<reward_query> queries;  ///< which refer to the prompts, to `batch` and to `texts`
  std::vector<double> scores;         ///< as the reward model gave them; zeros without one
};

/// Samples a response to each prompt from its own random stream, decodes it, and asks the reward model (null: none).
/// `prompts` must outlive the result.
scored_responses sample_and_score(policy_role& policy, reward_role* reward, const prompter& decoder,
                                  std::span<const rl_prompt> prompts, const generation_options& options,
                                  std::span<rng> streams);

}  // namespace coho::trainer
