#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/machine_rates.hpp"
#include "plan/memory_plan.hpp"

namespace coho::trainer {

/// The work of a phase of a step, with every sequence at its full length.
struct phase_work {
  std::string name;
  double flops = 0;             ///< of matrix products and attention
  double bytes = 0;             ///< weights and cached keys and values read by them
  double dequantize_bytes = 0;  ///< codes read and dequantised weights written and read again
  double seconds = 0;           ///< Σ over its kernels of max(flops / rate, bytes / bandwidth), dequantisation added
};

/// The work of a step, in addition to the sizes of the memory plan.
struct time_plan_options {
  memory_plan_options sizes{};
  std::int64_t sequences = 0;  ///< generated, scored and trained on in a step
  std::int64_t epochs = 1;     ///< passes of the update over them
  /// Scoring passes by name; `log_probs`: reads the language-model head at the response's positions. `length`: tokens
  /// of a sequence, if different from the rollout's (a reward model reads its own prompt); 0: the same.
  struct pass {
    std::string name;
    bool log_probs = false;
    std::int64_t length = 0;
  };
  std::vector<pass> scoring{};

  /// Throws `option_error` for sizes that memory_plan_options refuses, and unless sequences and epochs are positive.
  void validate() const;
};

/// The work of a step, phase by phase.
struct time_plan {
  std::vector<phase_work> phases;
  /// Σ over the phases.
  double seconds() const;
};

/// Predicts the seconds of a step from its arithmetic. A token costs 2 FLOPs per weight of the linears and of its
/// role's adapter, 2·V·H at a response's position that reads the head, and 4·A·D·t for attention over t tokens;
/// backward costs as much again for what is frozen and twice that for what is trained; full recomputation adds a
/// forward. Elementwise work is not counted, and each rate is assumed to be reached: a lower bound.
///
///     time_plan plan = plan_time({.sizes = sizes, .sequences = 576, .epochs = 2}, measure_machine(at::kCPU, at::kFloat));
time_plan plan_time(const time_plan_options& options, const machine_rates& rates);

}  // namespace coho::trainer
