#pragma once

#include <cstdint>
#include <functional>

#include <coho/train/steps/ppo_statistics.hpp>

#include "evaluation/ppo_evaluation.hpp"
#include "observe/metrics_log.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

struct ppo_ending_options {
  std::uint64_t steps = 0;  ///< of the whole run
  double stop_kl = 0;       ///< 0: off
};

/// When a run of PPO is evaluated and when it ends: after its steps, when the policy has left the reference by more
/// than `stop_kl`, or when `ppo.evaluation.patience` is exhausted. As a callback it comes after the training_loop,
/// whose checkpoint then precedes the evaluation. All ranks call together.
///
///     ppo_ending ending({.steps = 100}, &evaluation, loop.log(), context, safe_point);
///     if (!ending.evaluate_and_check_stop(0, 0)) trainer.run(prompts, 100, loop, ending);
class ppo_ending {
 public:
  /// `evaluation`: null for none. `safe_point(steps)` is called after each evaluation.
  ppo_ending(const ppo_ending_options& options, ppo_evaluation* evaluation, metrics_log& log, stage_context& context,
             std::function<void(std::uint64_t)> safe_point)
      : options_(options), evaluation_(evaluation), log_(log), context_(context), safe_point_(std::move(safe_point)) {}

  /// Evaluates if that is due after so many steps, and returns whether the run ends; logs why if it ends early. `kl`:
  /// of the last rollouts.
  bool evaluate_and_check_stop(std::uint64_t steps, double kl);

  /// The callbacks of ppo_trainer.
  void on_step_end(const ppo_statistics& statistics) {
    ends_ = evaluate_and_check_stop(statistics.step + 1, statistics.kl_sequence);
  }
  bool stop_requested() const { return ends_; }

 private:
  ppo_ending_options options_;
  ppo_evaluation* evaluation_;
  metrics_log& log_;
  stage_context& context_;
  std::function<void(std::uint64_t)> safe_point_;
  bool ends_ = false;
};

}  // namespace coho::trainer
