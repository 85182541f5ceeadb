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

#include "cli/options.hpp"
#include "observe/progress.hpp"

namespace coho::trainer {

class process_group;

/// A flag of one subcommand: a shorter way to set a config key.
struct stage_flag {
  std::string name;  ///< "--model", "-m,--model", or "file" for a positional argument
  std::string key;   ///< "model.path"
  std::string help;
  /// Not empty: the flag takes no value and sets the key to this one ("--greedy" sets generation.temperature to 0).
  std::string fixed_value{};
  bool repeatable = false;  ///< several values make a list
};

/// What every stage is given beside its config.
class stage_context {
 public:
  /// Without `ranks` this process works alone.
  stage_context(std::string name, const config& options, bool resume, bool dry_run, bool quiet,
                std::shared_ptr<process_group> ranks = {});

  std::string name;
  std::uint64_t seed = 1;
  std::size_t threads = 1;
  std::filesystem::path out;  ///< empty when neither --out nor the recipe names it
  std::string device = "cpu";
  bool resume = false, dry_run = false, quiet = false;

  /// To be called once all options are read and checked, and before anything is written. Refuses unknown keys; in a
  /// dry run prints the resolved config and `estimate` (a memory estimate, say) and returns false: the stage returns.
  /// Otherwise saves the config as config.toml in `directory` (made if absent) and returns true. An empty directory
  /// saves nothing.
  [[nodiscard]] bool begin(const config& options, const std::filesystem::path& directory = {},
                           std::string_view estimate = {});

  /// What a stage ends with in a dry run, before it opens models and data: refuses unknown keys, then prints the
  /// resolved config and, each line as a comment, what `estimate` says. With `on_rehearsal` set, hands both to that
  /// instead; its `estimate` is empty where a stage makes none.
  void rehearse(const config& options, const std::function<std::string()>& estimate = {});
  std::function<void(const config&, const std::function<std::string()>& estimate)> on_rehearsal{};

  /// `out`, or `fallback` when it is not given. Made on `begin`.
  std::filesystem::path out_or(const std::filesystem::path& fallback) const { return out.empty() ? fallback : out; }

  /// A line for people, to stderr; nothing when quiet.
  void log(std::string_view line) { terminal->print(line); }
  /// A progress line that is ended by `finish` or by its destructor. total 0: unknown.
  progress start_progress(std::string_view label, std::size_t total, std::string_view unit = "") {
    return progress(terminal, label, total, unit);
  }

  /// Whether SIGINT or SIGTERM came. Long loops look at it at each safe point, or call `stop_if_interrupted`.
  bool interrupted() const noexcept;
  /// Whether one of the ranks was interrupted; all call together, and `stop_if_interrupted` then throws on all.
  bool interrupted_anywhere();
  /// Throws `interrupted_error` (exit code 130) when interrupted.
  void stop_if_interrupted() const;

  std::shared_ptr<console> terminal;
  /// The processes that work on this run. The first one alone writes files and lines; errors come from all.
  std::shared_ptr<process_group> ranks;
};

/// A section of a recipe that stands for a subcommand with one of its flags: [preference_pretraining] for
/// `reward --pretrain`.
struct stage_variant {
  std::string section;  ///< "preference_pretraining"
  std::string flag;     ///< "--pretrain"
  std::string key;      ///< what the flag sets to true: "pretrain"
};

/// A subcommand.
struct subcommand {
  std::string name;  ///< "ppo"
  std::string help;  ///< one line
  std::function<void(const config&, stage_context&)> run;
  std::vector<stage_flag> flags{};
  /// Top-level sections of a recipe that it reads; other stages then do not take them for unknown keys.
  std::vector<std::string> sections{};
  std::string group = "Stages";
  std::string recipe{};   ///< the built-in recipe that it starts from when --config names no other
  bool parallel = false;  ///< mpirun may start it as several processes
  std::vector<stage_variant> variants{};
};

/// A stage that a recipe holds.
struct recipe_stage {
  const subcommand* command;
  const stage_variant* variant = nullptr;
  std::string title() const { return variant ? command->name + " " + variant->flag : command->name; }
};

/// The stages whose sections a recipe holds, in the order of `commands`; of a recipe of the demo that one alone.
std::vector<recipe_stage> stages_of(const config& recipe, const std::vector<subcommand>& commands);

/// The program: subcommands with the flags that all of them share (--config, --set, --seed, --threads, --out, --resume,
/// --device, --dry-run, --quiet), signals, and errors as one line with an exit code. `coho --dry-run RECIPE` plans all
/// stages of a recipe.
///
///     application program("coho", "Reinforcement learning …", COHO_VERSION);
///     program.add({"ppo", "train a policy against a reward model", run_ppo, {{"--model", "model.path", "folder"}},
///     {"ppo"}}); return program.run(argc, argv);
class application {
 public:
  application(std::string name, std::string description, std::string version);
  void add(subcommand command);
  /// A folder in which `--config NAME` is looked up as NAME or NAME.toml when it is not a path that exists.
  void add_recipe_folder(std::filesystem::path folder);
  /// Sections that no subcommand reads but a shared recipe may hold.
  void allow_section(std::string name);
  /// Parses, runs, reports. Returns the exit status.
  int run(int argc, const char* const* argv);
  const std::vector<subcommand>& subcommands() const noexcept { return commands_; }

 private:
  int dispatch(int argc, const char* const* argv);
  /// `coho --dry-run RECIPE [flags]`: the plan of each stage that the recipe holds.
  int plan_recipe(std::span<const char* const> words);
  int fail(const std::string& program, std::exception_ptr failure);
  std::filesystem::path find_recipe(const std::string& name) const;

  std::string name_, description_, version_;
  std::vector<subcommand> commands_;
  std::vector<std::filesystem::path> recipe_folders_;
  std::vector<std::string> sections_;
  std::function<void(const config&, const std::function<std::string()>&)> on_rehearsal_;
  std::shared_ptr<process_group> ranks_;  ///< once there is more than this process
};

/// Sets or clears the flag that `stage_context::interrupted` reads. The signal handlers set it; tests may.
void set_interrupted(bool value) noexcept;

}  // namespace coho::trainer
