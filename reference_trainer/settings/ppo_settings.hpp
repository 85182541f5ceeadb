#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/principle/guideline.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>

#include "config/config.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// The preset of a recipe: "paper" or "salmon_code", with limits of the forwards.
ppo_options ppo_preset(std::string_view name);

/// ppo_options from a recipe: the preset with the changes of the section "ppo".
ppo_options read_ppo_options(const config& options, const stage_context& context, const std::vector<std::string>& stop,
                             std::uint64_t steps);

}  // namespace coho::trainer
