#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

#include "bench_machine.hpp"
#include "shapes.hpp"

namespace coho::bench {

// Each measures one part and returns what it saw, in seconds, bytes and floating-point operations. Nothing here is
// extrapolated or held against a target: bench/gpu/table.py does that.

/// The device's own limits: bytes a second of reading, copying and a triad, operations a second of a matrix product.
nlohmann::json measure_limits(const bench_machine& machine);
/// NF4: dequantising, and products with M rows, of the four shapes of linears that the model has.
nlohmann::json measure_nf4(const bench_machine& machine, const shapes& sizes);
/// `fused_log_probs` beside a bare product of its size and beside matmul, log_softmax and gather: time and memory.
nlohmann::json measure_log_probs(const bench_machine& machine, const shapes& sizes);

/// A model of the `layers` layers of `weights` or fewer.
struct few_layers {
  const trainer::llama_weights& weights;
  std::int64_t layers = 1;  ///< the fewer of the two counts that slopes are taken of; the other is all there are
  std::int64_t all() const { return static_cast<std::int64_t>(weights.blocks.size()); }
};

/// Seconds a token of decoding one sequence: the base alone, a frozen adapter, a trained one, each on two counts of
/// layers.
nlohmann::json measure_decoding(const bench_machine& machine, const shapes& sizes, const few_layers& model);
/// A forward without gradients, and a forward with its backward, of at least 8192 tokens.
nlohmann::json measure_passes(const bench_machine& machine, const shapes& sizes, const few_layers& model);

/// A PPO step of the four models by phase, on two counts of layers. Fewer rollouts where `seconds` would not do.
nlohmann::json measure_ppo_step(const bench_machine& machine, const shapes& sizes, const few_layers& model,
                                double seconds);
/// What the four models and a PPO step of a device's batch hold beside what `plan_memory` says. `before`: bytes held
/// before there were weights.
nlohmann::json measure_step_memory(const bench_machine& machine, const shapes& sizes, const few_layers& model,
                                   std::int64_t before);
/// PPO steps with responses of two lengths; the memory of log-probabilities for more tokens and words.
nlohmann::json measure_growth(const bench_machine& machine, const shapes& sizes, const few_layers& model);

/// Bytes beyond the inputs at the peak of a forward and backward of `fused_log_probs` (hidden states alone learn).
std::int64_t log_probs_memory(const bench_machine& machine, at::ScalarType type, std::int64_t tokens,
                              std::int64_t width, std::int64_t words);

inline nlohmann::json json_of(const timing& t) {
  return {{"seconds", t.median}, {"least_seconds", t.least}, {"samples", t.samples}, {"calls", t.calls}};
}

}  // namespace coho::bench
