#pragma once

#include <string>
#include <vector>

#include "config/config.hpp"
#include "program/subcommand.hpp"

namespace coho::trainer {

/// A stage in a recipe.
struct recipe_stage {
  const subcommand* command;
  const stage_variant* variant = nullptr;
  std::string title() const { return variant ? command->name + " " + variant->flag : command->name; }
};

/// The stages whose sections a recipe has, in the order of `commands`; for a recipe of the demo only the demo.
std::vector<recipe_stage> recipe_stages(const config& recipe, const std::vector<subcommand>& commands);

/// `config_error` for an override of a section that some command reads, but none of these stages: a mistake even where
/// the overrides are for all stages of a recipe.
void require_reader_of_overrides(const config& options, const std::vector<recipe_stage>& stages,
                                 const std::vector<subcommand>& commands);

}  // namespace coho::trainer
