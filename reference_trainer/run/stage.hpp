#pragma once

#include <concepts>
#include <filesystem>
#include <functional>
#include <string>

#include "config/config.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// The work of a subcommand, in the one order that run_stage keeps for all of them:
///
///     read      the constructor Stage(const config&, stage_context&): every key, once, into typed settings
///               (unknown keys are rejected)
///     check     constraints between values, and the small files that they name
///     plan      --dry-run: the cost of the resolved recipe; the run ends here
///     finished  --resume: whether an earlier run had ended; the run ends here
///               (--resume with a checkpoint in `folder`, or some `records`: options other than those of the run
///               are rejected)
///     load      models and data: everything that may fail before anything is written
///               (several processes: the same run on each; `folder` is made and gets config.toml, in a resumed run
///               once its checkpoint is restored; threads)
///     run       the work
///
/// A stage defines the constructor and `run`, and the other steps it needs. `options` tells the later steps where a
/// key stands, for errors; nothing is read from it any more.
///
///     class merge_stage : public stage { … };
///     void run_merge(const config& options, stage_context& context) { run_stage<merge_stage>(options, context); }
class stage {
 public:
  stage() = default;
  virtual ~stage() = default;
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  /// The constraints above. Throws config_error, or file_error for the small files.
  virtual void check(const config& options, stage_context& context);
  /// Text on memory and time, computed on request; empty: none.
  virtual std::function<std::string()> plan(const config& options, const stage_context& context) const;
  /// Called with --resume. Logs its own message, as the result may be a file or a folder.
  virtual bool finished(stage_context& context) const;
  /// Opens models and data. Writes nothing: where it throws, an earlier run's results are still there.
  virtual void load(const config& options, stage_context& context);
  /// The folder that the resolved recipe is saved in; empty: none.
  virtual std::filesystem::path folder() const;
  /// The file of records that a resumed run continues, which the resolved recipe is saved beside; empty: none.
  virtual std::filesystem::path records() const;
  /// The work itself; interruptible at its safe points.
  virtual void run(stage_context& context) = 0;
};

/// The order above, for a stage that has been read.
void run_in_order(stage& work, const config& options, stage_context& context);

/// Reads a stage from its config and runs it in that order.
template <std::derived_from<stage> Stage>
void run_stage(const config& options, stage_context& context) {
  Stage work(options, context);
  run_in_order(work, options, context);
}

}  // namespace coho::trainer
