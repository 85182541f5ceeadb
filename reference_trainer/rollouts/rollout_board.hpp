#pragma once

#include <cstdint>

#include <coho/rollout/trajectory.hpp>

#include "observe/metrics_log.hpp"

namespace coho::trainer {

/// A callback of PPO that shows rollouts in TensorBoard: histograms of scores, rewards, lengths and advantages at each
/// step, and every ten steps the texts of the first responses.
///
///     rollout_board board(log);
///     trainer.step(prompts, board);
class rollout_board {
 public:
  explicit rollout_board(metrics_log& log) : log_(&log) {}

  void on_step_begin(std::uint64_t step) { step_ = static_cast<std::int64_t>(step); }
  /// Writes the step's histograms, and every ten steps the first texts.
  void on_rollouts(const trajectory_batch& rollouts);

 private:
  metrics_log* log_;
  std::int64_t step_ = 0;
};

}  // namespace coho::trainer
