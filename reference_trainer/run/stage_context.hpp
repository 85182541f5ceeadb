#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "observe/progress.hpp"

namespace coho::trainer {

class process_group;

/// The keys at the top of a recipe.
struct general_options {
  std::uint64_t seed = 1;
  std::size_t threads = 1;
  std::optional<std::filesystem::path> out{};
  std::string device = "cpu";

  static void describe(auto&& visit, auto&... o) {
    visit({"seed", "seed of all random numbers"}, o.seed...);
    visit(otherwise("the cores", {"threads",
                                  "number of threads; under a launcher its default is the cores of the machine "
                                  "divided by its ranks",
                                  allowed::in(1, 4096)}),
          o.threads...);
    visit(otherwise("the stage's name", {"out", "output file or folder"}), o.out...);
    visit({"device", "device that the models are on: cpu, cuda or cuda:1; quantize always runs on the CPU"},
          o.device...);
  }
  /// config_error unless `device` is one of the names above.
  void check_constraints(const config& section) const;
};

/// What every stage gets in addition to its config.
class stage_context {
 public:
  /// Without `ranks` this process is the only one.
  stage_context(std::string name, const config& options, bool resume, bool dry_run, bool quiet,
                std::shared_ptr<process_group> ranks = {});

  std::string name;
  std::uint64_t seed = 1;
  std::size_t threads = 1;
  std::filesystem::path out;  ///< empty when neither --out nor the recipe names it
  std::string device = "cpu";
  bool resume = false, dry_run = false, quiet = false;

  /// config_error with the place of `device` in the recipe unless `ok`.
  void check_device(bool ok, std::string_view allowed) const { recipe_.check(ok, "device", allowed); }

  /// Call once all options are read and checked, and before anything is written, but not in a dry run. Rejects unknown
  /// keys and ranks whose recipes differ, and saves the config as config.toml in `directory`, which is made if absent;
  /// with an empty directory it saves nothing. Where `directory` holds a checkpoint to resume, `save_recipe` follows
  /// once it is restored.
  void start_run(const config& options, const std::filesystem::path& directory = {});

  /// Writes the config with its defaults to `directory`/config.toml, on the first rank.
  void save_recipe(const std::filesystem::path& directory) const;

  /// Ends a stage in a dry run, before it opens models and data: rejects unknown keys, then prints the
  /// resolved config and, each line as a comment, the text of `estimate`. With `on_dry_run` set, hands both to that
  /// instead; its `estimate` is empty where a stage makes none.
  void end_dry_run(const config& options, const std::function<std::string()>& estimate = {});
  std::function<void(const config&, const std::function<std::string()>& estimate)> on_dry_run{};

  /// `out`, or `fallback` when it is not given. Created by `start_run`.
  std::filesystem::path out_or(const std::filesystem::path& fallback) const { return out.empty() ? fallback : out; }

  /// A line for people, to stderr; nothing when quiet.
  void log(std::string_view line) { terminal->print(line); }
  /// A progress line that is ended by `finish` or by its destructor. total 0: unknown.
  progress start_progress(std::string_view label, std::size_t total, std::string_view unit = "") {
    return progress(terminal, label, total, unit);
  }

  /// Whether SIGINT or SIGTERM came. Long loops check it at each safe point, or call `stop_if_interrupted`.
  bool interrupted() const noexcept;
  /// Whether one of the ranks was interrupted; all call together, and `stop_if_interrupted` then throws on all.
  bool interrupted_anywhere();
  /// Throws `interrupted_error` (exit code 130) when interrupted.
  void stop_if_interrupted() const;

  std::shared_ptr<console> terminal;
  /// The processes that work on this run. Only the first one writes files and lines; errors come from all.
  std::shared_ptr<process_group> ranks;

 private:
  config recipe_;  ///< for the places of errors
};

}  // namespace coho::trainer
