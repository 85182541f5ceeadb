#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/option_list.hpp"

namespace coho::trainer {

/// The keys of a stage ("self_align", "sft", "reward", "preference_pretraining", "ppo", "aggregate") that are options
/// of the library or the trainer, made from the descriptions that read and check them. Empty for a stage without any.
std::vector<listed_option> stage_options(std::string_view stage);

/// The headings of their defaults: the presets of a stage, or "default".
std::vector<std::string> stage_presets(std::string_view stage);

/// The stages that have some.
const std::vector<std::string>& stages_with_options();

}  // namespace coho::trainer
