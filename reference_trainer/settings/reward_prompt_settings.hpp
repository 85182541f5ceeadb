#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include <coho/prompt/template.hpp>

#include "config/config.hpp"
#include "roles/reward_role.hpp"

namespace coho::trainer {

/// The section `reward_prompt` as a stage reads it; each template if its file exists.
struct reward_prompt_settings {
  std::filesystem::path template_path, plain_path;
  std::optional<prompt_template> wording{}, plain{};
  reward_role_options limits{};
};
/// `stage`: the section whose reward model it is, "preference_pretraining", "reward", "ppo" or "eval".
///
/// Shared by all stages, since a reward model needs the wording that it was trained with: reward_prompt.template
/// (records with principles), reward_prompt.plain_template (records without), each a path or a shipped name, and
/// reward_prompt.scoring_tokens (padded tokens of a forward without gradients). What is kept of query and response is
/// each stage's own: STAGE.reward_prompt.query_tokens and .response_tokens (0: all), which default to those of the
/// section reward_prompt, and without these to the released scripts' 256 and 640 in pre-training, 128 and 768 in
/// `reward`, all in `ppo` and `eval`.
reward_prompt_settings read_reward_prompt(const config& options, std::string_view stage);

}  // namespace coho::trainer
