#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <coho/optimization/data_order.hpp>
#include <nlohmann/json.hpp>

#include "observe/metrics_log.hpp"
#include "run/stage_context.hpp"
#include "run/training_run.hpp"

namespace coho::trainer {

/// A run over fixed data from its start or its newest checkpoint: log, progress, checkpoints, interruption. The stage
/// gives the trainer of the library and says what a step's statistics mean: `describe(statistics, log)` writes the
/// scalars and returns the text of the progress line, which tells the tokens of statistics that have some;
/// `describe(statistics, log, bar)` counts them itself.
template <class Trainer, class Describe>
class fit_run {
 public:
  fit_run(Trainer& trainer, stage_context& context, training_checkpoints& checkpoints, const std::filesystem::path& out,
          std::string_view title, std::uint64_t steps, Describe describe)
      : context_(context),
        checkpoints_(checkpoints),
        start_(resumed(trainer, context, checkpoints)),
        log_(metrics_folder(context, out),
             context.resume ? std::optional<std::int64_t>(static_cast<std::int64_t>(start_.step)) : std::nullopt),
        bar_(context.start_progress(title, steps, "steps")),
        describe_(std::move(describe)) {
    bar_.start_at(start_.step);
  }

  template <class Statistics>
  void on_step_end(const Statistics& statistics) {
    if constexpr (requires { statistics.tokens; }) bar_.count("tokens", static_cast<double>(statistics.tokens));
    const std::string text = [&] {
      if constexpr (std::invocable<Describe&, const Statistics&, metrics_log&, progress&>)
        return std::string(describe_(statistics, log_, bar_));
      else
        return std::string(describe_(statistics, log_));
    }();
    log_.flush();  // before the checkpoint: a run that is killed goes on behind these lines
    bar_.advance(1, text);
    const std::uint64_t done = statistics.step + 1;
    const nlohmann::json position{{"step", done}, {"seed", start_.seed}, {"batch_size", start_.batch_size}};
    if (context_.interrupted_anywhere()) {
      checkpoints_.save(done, position);
      context_.stop_if_interrupted();
    }
    checkpoints_.save_if_due(done, position);
  }

  void finish(std::string_view note) {
    log_.flush();
    bar_.finish(std::string(note));
  }

 private:
  static data_position resumed(Trainer& trainer, stage_context& context, training_checkpoints& checkpoints) {
    if (!context.resume) {
      checkpoints.remove();  // what an abandoned run left is not this one's
      return trainer.save();
    }
    if (const auto saved = checkpoints.restore()) {
      const data_position now = trainer.save();
      trainer.restore({.step = saved->at("step").template get<std::uint64_t>(),
                       .seed = saved->value("seed", now.seed),
                       .batch_size = saved->value("batch_size", now.batch_size)});
    }
    return trainer.save();
  }

  stage_context& context_;
  training_checkpoints& checkpoints_;
  data_position start_;
  metrics_log log_;
  progress bar_;
  Describe describe_;
};

}  // namespace coho::trainer
