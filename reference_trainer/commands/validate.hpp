#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "program/application.hpp"
#include "program/subcommand.hpp"

namespace coho::trainer {

/// What `validate_recipe` found out of one stage.
struct stage_verdict {
  std::string stage;                 ///< "ppo", or "reward --pretrain"
  std::string problem;               ///< empty: the stage can be run with this recipe
  std::vector<std::string> missing;  ///< files that are not there yet, as "ppo.prompts = prompts.jsonl"
};

/// Has each stage whose section the recipe holds read it, as in a dry run: keys, types, ranges, and the templates and
/// principle files that are there. Opens no models and no data. A stage whose name is a section of the recipe is run;
/// `demo` alone where that is held. Throws `file_error` or `config_error` when the recipe itself cannot be read, or
/// holds no stage.
std::vector<stage_verdict> validate_recipe(const std::filesystem::path& recipe, const std::vector<subcommand>& stages);

/// `coho validate RECIPE…`: a line a stage; exit status 3 when a stage cannot be run.
///
///     program.add(make_validate_command(program.subcommands()));
subcommand make_validate_command(std::vector<subcommand> stages);

}  // namespace coho::trainer
