#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <coho/prompt/reward_prompt.hpp>

#include "cli/application.hpp"
#include "cli/options.hpp"
#include "roles/reward_role.hpp"
#include "stages/model_files.hpp"

namespace coho::trainer {

/// The section `reward_prompt` as a stage reads it; each template when its file is there.
struct reward_prompt_settings {
  std::filesystem::path template_path, plain_path;
  std::optional<prompt_template> wording{}, plain{};
  reward_role_options limits{};
};
/// `stage`: the section whose reward model it is, "preference_pretraining", "reward", "ppo" or "eval".
///
/// Shared by all stages, as a reward model is asked in the words that it was trained with: reward_prompt.template
/// (records with principles), reward_prompt.plain_template (records without), each a path or a shipped name, and
/// reward_prompt.scoring_tokens (padded tokens of a forward without gradients). What is kept of query and response is
/// each stage's own: STAGE.reward_prompt.query_tokens and .response_tokens (0: all), which default to those of the
/// section reward_prompt, and without these to the released scripts' 256 and 640 in pre-training, 128 and 768 in
/// `reward`, all in `ppo` and `eval`.
reward_prompt_settings read_reward_prompt(const config& options, std::string_view stage);

/// A role as the reward model of a stage.
reward_role make_reward_role(loaded_model& model, const std::string& role, const config& options,
                             std::string_view stage);

/// Says how many of the texts read so far, on all ranks, the limits cut; nothing where there was none. All ranks call
/// together. Returns whether there is no more to ask: it was said, or nothing is ever cut.
bool say_cuts(const reward_role& reward, std::string_view stage, stage_context& context);

}  // namespace coho::trainer
