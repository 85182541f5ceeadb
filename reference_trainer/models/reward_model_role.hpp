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

/// A role as the reward model of a stage.
reward_role make_reward_role(loaded_model& model, const std::string& role, const config& options,
                             std::string_view stage);

/// Says how many of the texts read so far, on all ranks, the limits cut; nothing where there was none. All ranks call
/// together. Returns whether there is no more to ask: it was said, or nothing is ever cut.
bool say_cuts(const reward_role& reward, std::string_view stage, stage_context& context);

}  // namespace coho::trainer
