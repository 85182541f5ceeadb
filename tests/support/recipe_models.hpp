#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "config/read_options.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "run/stage_context.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {

/// The model of a recipe, as a stage loads it.
inline loaded_model load_model(const config& recipe) {
  return load_model(read_model_settings(recipe), stage_context("test", recipe, false, false, true));
}

/// A role that starts as the section `adapter` says.
inline void start_role(loaded_model& model, const std::string& role, const std::filesystem::path& from,
                       const config& recipe, rng random) {
  start_role(model, role, from, read_adapter_settings(recipe), random);
}

/// The prompts of a recipe's section `prompt`.
inline prompter make_prompter(const config& recipe, const loaded_model& model) {
  return prompter(read_prompt_settings(recipe), model);
}

/// The options of a section that has none of its own names: config(settings{"beta1=0.8"}).
template <class Options>
Options read_given(const config& recipe, const std::string& section, Options defaults = {}) {
  return read_section<Options>(recipe.section(section), std::move(defaults));
}

}  // namespace coho::trainer
