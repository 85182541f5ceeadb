#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "datasets/preference_data.hpp"
#include "evaluation/preference_measures.hpp"
#include "observe/metrics_log.hpp"
#include "roles/reward_role.hpp"

namespace coho::trainer {

/// Measures a reward model in training on pairs that it is not trained on: every so many steps, and after the last.
///
///     held_out_evaluation evaluation(reward, std::move(pairs), {.every = 100, .steps = 600});
///     if (evaluation.is_due(200)) log_evaluation(log, 199, evaluation.evaluate(200, "reward"));
class held_out_evaluation {
 public:
  struct schedule {
    std::uint64_t every = 0;  ///< steps between evaluations; 0: only after the last step
    std::uint64_t steps = 0;  ///< of the whole run
  };
  /// `reward` must outlive it.
  held_out_evaluation(reward_role& reward, preference_set pairs, schedule when);

  /// Whether the model is evaluated after that many steps.
  bool is_due(std::uint64_t done) const;

  /// The measures after `done` steps, the same on all ranks; a second call for the same step measures nothing. Also
  /// written to evaluation.json in the folder `out`, unless that is empty (another rank writes). Throws file_error.
  const preference_measures& evaluate(std::uint64_t done, const std::filesystem::path& out);

 private:
  reward_role& reward_;
  preference_set pairs_;
  schedule schedule_;
  std::uint64_t done_ = 0;
  std::optional<preference_measures> last_;
};

/// Adds a point to the curves evaluation_accuracy, evaluation_loss, …: overall figures, and moments of the scores.
void log_evaluation(metrics_log& log, std::int64_t step, const preference_measures& measured);

}  // namespace coho::trainer
