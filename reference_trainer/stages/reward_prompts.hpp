#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <coho/prompt/reward_prompt.hpp>

#include "cli/options.hpp"
#include "roles/reward_role.hpp"
#include "stages/model_files.hpp"

namespace coho::trainer {

/// The section `reward_prompt`; each template when its file is there.
struct reward_prompt_settings {
  std::filesystem::path template_path, plain_path;
  std::optional<prompt_template> wording{}, plain{};
  reward_role_options limits{};
};
reward_prompt_settings read_reward_prompt(const config& options);

/// What a reward model reads, the same in training, in PPO and in evaluation: reward_prompt.template (records with
/// principles), reward_prompt.plain_template (records without), reward_prompt.query_tokens and .response_tokens (what
/// is kept of them, 0: all), reward_prompt.scoring_tokens (padded tokens of a forward without gradients).
reward_role make_reward_role(loaded_model& model, const std::string& role, const config& options);

}  // namespace coho::trainer
