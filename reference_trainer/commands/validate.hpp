#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "program/application.hpp"
#include "program/subcommand.hpp"

namespace coho::trainer {

/// The result of `validate_recipe` for one stage.
struct stage_verdict {
  std::string stage;                 ///< "ppo", or "reward --pretrain"
  std::string problem;               ///< empty: the stage can be run with this recipe
  std::vector<std::string> missing;  ///< files that do not exist yet, as "ppo.prompts = prompts.jsonl"
};

/// Has each stage whose section the recipe holds read it, as in a dry run: keys, types, ranges, and the templates and
/// principle files that exist. Opens no models and no data. A stage whose name is a section of the recipe is run;
/// only `demo` if it is there. Throws `file_error` or `config_error` when the recipe itself cannot be read, or
/// has no stage. `overrides`: a config whose overrides, but those of [validate], replace values of the recipe.
std::vector<stage_verdict> validate_recipe(const std::filesystem::path& recipe, const std::vector<subcommand>& stages,
                                           const config& overrides = config());

/// `coho validate RECIPE… [--set KEY=VALUE]`: one line per stage; exit status 3 when a stage cannot be run.
///
///     program.add(make_validate_command(program.subcommands()));
subcommand make_validate_command(std::vector<subcommand> stages);

}  // namespace coho::trainer
