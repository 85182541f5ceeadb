#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "program/recipe_stages.hpp"
#include "program/subcommand.hpp"

namespace coho::trainer {

class process_group;

/// The program: subcommands with shared flags (--config, --set, --seed, --threads, --out, --resume,
/// --device, --dry-run, --quiet), signals, and errors as one line with an exit code. `coho --dry-run RECIPE` plans all
/// stages of a recipe.
///
///     application program("coho", "Reinforcement learning …", COHO_VERSION);
///     program.add({"ppo", "train a policy against a reward model", run_ppo,
///                  {{"--model", "model.path", "folder"}}, {"ppo"}});
///     return program.run(argc, argv);
class application {
 public:
  application(std::string name, std::string description, std::string version);
  /// A further subcommand, after those that --help lists already.
  void add(subcommand command);
  /// A folder in which `--config NAME` is looked up as NAME or NAME.toml when it is not an existing path.
  void add_recipe_folder(std::filesystem::path folder);
  /// Parses, runs, reports. Returns the exit status.
  int run(int argc, const char* const* argv);
  const std::vector<subcommand>& subcommands() const noexcept { return commands_; }

 private:
  /// Parses the command line and runs its subcommand. Returns the exit status; throws what the subcommand throws.
  int dispatch(int argc, const char* const* argv);
  /// `coho --dry-run RECIPE [flags]`: the plan of each stage in the recipe.
  int plan_recipe(std::span<const char* const> words);
  /// Reports an exception that ended a run, on one rank of several. Returns the exit status.
  int report_failure(const std::string& program, std::exception_ptr failure);

  std::string name_, description_, version_;
  std::vector<subcommand> commands_;
  std::vector<std::filesystem::path> recipe_folders_;
  std::function<void(const config&, const std::function<std::string()>&)> on_dry_run_;
  std::vector<recipe_stage> planned_;     ///< while a recipe is planned: its stages
  std::shared_ptr<process_group> ranks_;  ///< once there is more than this process
};

}  // namespace coho::trainer
