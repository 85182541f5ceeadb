#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "observe/metrics_log.hpp"
#include "run/stage_context.hpp"
#include "run/training_checkpoints.hpp"
#include "run/training_run.hpp"

namespace coho::trainer {

/// The length of a run, and the step at which this process begins.
struct loop_extent {
  std::string title;        ///< of the progress line
  std::uint64_t first = 0;  ///< steps already made
  std::uint64_t steps = 0;  ///< of the whole run
};

/// Everything around a library trainer's steps, as one of its callbacks: metrics log, progress line,
/// checkpoints, interruption; a resumed run's recipe is saved, as its checkpoint was accepted. `describe(statistics,
/// log, bar)` writes a step's scalars, counts its tokens and returns the text of the progress line; `position()` is the
/// checkpoint state besides weights and moments.
///
///     const auto saved = checkpoints.restore_or_clear(context.resume);
///     if (saved) trainer.restore(…);
///     training_loop loop(context, checkpoints, out, {.title = "sft", .first = trainer.save().step, .steps = steps},
///                        describe, position);
///     trainer.fit(data, loop);
///     loop.finish(out.string(), [&] { save_role(model, "policy", out); });
template <class Describe, std::invocable Position>
class training_loop {
 public:
  training_loop(stage_context& context, const training_checkpoints& checkpoints, const std::filesystem::path& out,
                const loop_extent& extent, Describe describe, Position position)
      : context_(context),
        checkpoints_(checkpoints),
        log_(metrics_folder(context, out),
             context.resume ? std::optional<std::int64_t>(static_cast<std::int64_t>(extent.first)) : std::nullopt),
        bar_(context.start_progress(extent.title, extent.steps, "steps")),
        describe_(std::move(describe)),
        position_(std::move(position)) {
    bar_.start_at(extent.first);
    if (context.resume) context.save_recipe(out);
  }

  /// Called by the trainer after a step: writes its metrics, then a checkpoint where one is due or the run is stopped.
  template <class Statistics>
  void on_step_end(const Statistics& statistics) {
    const std::string text = describe_(statistics, log_, bar_);
    log_.flush();  // before the checkpoint: a killed run continues after these lines
    bar_.advance(1, text);
    const std::uint64_t done = statistics.step + 1;
    stop_if_interrupted(done);
    checkpoints_.save_if_due(done, position_());
  }

  /// After `done` steps, between two: saves and throws `interrupted_error` where any rank was interrupted. All ranks
  /// call together.
  void stop_if_interrupted(std::uint64_t done) {
    if (!context_.interrupted_anywhere()) return;
    checkpoints_.save(done, position_());
    context_.stop_if_interrupted();
  }

  /// The result gets its final name by `save`, which the first rank calls; then checkpoints are no longer needed.
  void finish(std::string_view note, const std::function<void()>& save) {
    log_.flush();
    if (context_.ranks->first()) save();
    checkpoints_.remove();
    bar_.finish(std::string(note));
  }

  metrics_log& log() { return log_; }

 private:
  stage_context& context_;
  const training_checkpoints& checkpoints_;
  metrics_log log_;
  progress bar_;
  Describe describe_;
  Position position_;
};

/// Restores a trainer over fixed data from the values of a checkpoint. Throws argument_error where they are of another
/// seed or batch size; those that an older checkpoint lacks are taken as equal.
template <class Trainer>
void restore_position(Trainer& trainer, const nlohmann::json& saved) {
  const auto now = trainer.save();
  trainer.restore({.step = saved.at("step").template get<std::uint64_t>(),
                   .seed = saved.value("seed", now.seed),
                   .batch_size = saved.value("batch_size", now.batch_size)});
}

/// Its state for a checkpoint, as `restore_position` reads it.
template <class Trainer>
nlohmann::json save_position(const Trainer& trainer) {
  const auto now = trainer.save();
  return {{"step", now.step}, {"seed", now.seed}, {"batch_size", now.batch_size}};
}

}  // namespace coho::trainer
