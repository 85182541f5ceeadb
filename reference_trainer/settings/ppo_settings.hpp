#pragma once

#include <optional>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/principle/guideline.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>

#include "config/config.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// ppo_options from a recipe: the preset and whatever the section "ppo" changes of it.
ppo_options read_ppo_options(const config& options, const stage_context& context, const std::vector<std::string>& stop,
                             std::uint64_t steps);

}  // namespace coho::trainer
