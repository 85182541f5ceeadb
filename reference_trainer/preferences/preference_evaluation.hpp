#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include <coho/train/options/direct_preference_options.hpp>

#include "observe/metrics_log.hpp"

namespace coho::trainer {

/// Measures a policy in preference optimisation on pairs that it is not trained on: every so many steps, and after the
/// last. The measures are loss, accuracy and margin of the implicit rewards, and mean log-probabilities.
///
///     preference_evaluation evaluation([&] { return trainer.evaluate_shared(held_out); }, {.every = 100, .steps = 600});
///     if (evaluation.is_due(200)) log_preference_evaluation(log, 199, evaluation.evaluate(200, "dpo"));
class preference_evaluation {
 public:
  struct schedule {
    std::uint64_t every = 0;  ///< steps between evaluations; 0: only after the last step
    std::uint64_t steps = 0;  ///< of the whole run
  };
  /// `measure` is called by all ranks together.
  preference_evaluation(std::function<direct_preference_statistics()> measure, schedule when);

  /// Whether the policy is evaluated after that many steps.
  bool is_due(std::uint64_t done) const;
  /// The measures after `done` steps, the same on all ranks; a second call for the same step measures nothing. Also
  /// written to evaluation.json in the folder `out`, unless that is empty (another rank writes). Throws file_error.
  const direct_preference_statistics& evaluate(std::uint64_t done, const std::filesystem::path& out);

 private:
  std::function<direct_preference_statistics()> measure_;
  schedule schedule_;
  std::uint64_t done_ = 0;
  std::optional<direct_preference_statistics> last_;
};

/// √(a(1 − a)/n) of the accuracy: of a mean of independent examples.
double accuracy_standard_error(const direct_preference_statistics& measured);

/// Adds a point to the curves evaluation_loss, evaluation_accuracy, evaluation_margin, ….
void log_preference_evaluation(metrics_log& log, std::int64_t step, const direct_preference_statistics& measured);

}  // namespace coho::trainer
