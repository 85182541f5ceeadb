#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <coho/prompt/reward_prompt.hpp>

#include "models/model_files.hpp"
#include "roles/reward_role.hpp"
#include "run/stage_context.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {

/// What a reward model reads around queries with principles, and around those without.
struct reward_wording {
  reward_prompt guided, plain;
};
/// The wording that the settings name. Throws file_error where a template is not there.
reward_wording load_reward_wording(const reward_prompt_settings& settings);

/// A role as a reward model. Throws file_error where a template is not there.
reward_role make_reward_role(loaded_model& model, const std::string& role, const reward_prompt_settings& settings);
/// The same with the settings of the stage's own section.
reward_role make_reward_role(loaded_model& model, const std::string& role, const config& options,
                             std::string_view stage);

/// Logs how many of the texts read so far, on all ranks, the limits cut; nothing if none was. All ranks must call it
/// together. Returns whether it is done: it was logged, or nothing is ever cut.
bool log_cuts(const reward_role& reward, std::string_view stage, stage_context& context);

}  // namespace coho::trainer
