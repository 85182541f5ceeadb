#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "config/read_options.hpp"
#include "rollouts/rl_prompts.hpp"
#include "rollouts/symbolic_rewards.hpp"
#include "settings/bonus_settings.hpp"
#include "settings/ppo_settings.hpp"
#include "support/recipe_models.hpp"

namespace coho::trainer {

/// The parts of the section `ppo` as the stage reads them.
inline ppo_options read_ppo_options(const config& recipe, const stage_context& context,
                                    const std::vector<std::string>& stop, std::uint64_t steps) {
  return read_ppo_training(recipe, context, stop, steps).options;
}
inline symbolic_rewards read_bonus(const config& section, std::size_t max_new_tokens) {
  return symbolic_rewards(read_bonus(section, read_preset<ppo_training>(section).preset, max_new_tokens));
}
inline guideline_source read_guidelines(const config& section) {
  return guideline_source(read_section<guideline_options>(section));
}

}  // namespace coho::trainer
