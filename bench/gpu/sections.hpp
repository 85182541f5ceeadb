#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

#include "bench_machine.hpp"
#include "shapes.hpp"

namespace coho::bench {

// Each function measures one part and returns seconds, bytes and floating-point operations. Nothing here is
// extrapolated or compared with a target: bench/gpu/table.py does that.

/// The device's own limits: bytes per second of reading, copying and a triad, operations per second of a matrix
/// product.
nlohmann::json measure_limits(const bench_machine& machine);
/// NF4: dequantising, and products with M rows, for the four shapes of linears in the model.
nlohmann::json measure_nf4(const bench_machine& machine, const shapes& sizes);
/// `fused_log_probs` compared with a bare product of its size and with matmul, log_softmax and gather: time and memory.
nlohmann::json measure_log_probs(const bench_machine& machine, const shapes& sizes);

/// A model with the first layers of `weights`, `layers` at most.
struct few_layers {
  const trainer::llama_weights& weights;
  std::int64_t layers = 1;  ///< the smaller of the two numbers of layers for slopes; the larger is all there are
  std::int64_t all() const { return static_cast<std::int64_t>(weights.blocks.size()); }
};

/// Seconds per token of decoding one sequence: only the base, a frozen adapter, a trained one, each with two numbers of
/// layers.
nlohmann::json measure_decoding(const bench_machine& machine, const shapes& sizes, const few_layers& model);
/// A forward without gradients, and a forward with its backward, of at least 8192 tokens.
nlohmann::json measure_passes(const bench_machine& machine, const shapes& sizes, const few_layers& model);

/// A PPO step of the four models by phase, with two numbers of layers. Fewer rollouts if `seconds` would not suffice.
nlohmann::json measure_ppo_step(const bench_machine& machine, const shapes& sizes, const few_layers& model,
                                double seconds);
/// The memory of the four models and of a PPO step with a device's batch, compared with `plan_memory`. `before`: bytes
/// held before there were weights.
nlohmann::json measure_step_memory(const bench_machine& machine, const shapes& sizes, const few_layers& model,
                                   std::int64_t before);
/// PPO steps with two response lengths; the memory of log-probabilities for more tokens and words.
nlohmann::json measure_growth(const bench_machine& machine, const shapes& sizes, const few_layers& model);

/// Bytes beyond the inputs at the peak of a forward and backward of `fused_log_probs` (only hidden states need
/// gradients).
std::int64_t log_probs_memory(const bench_machine& machine, at::ScalarType type, std::int64_t tokens,
                              std::int64_t width, std::int64_t words);

inline nlohmann::json json_of(const timing& t) {
  return {{"seconds", t.median}, {"least_seconds", t.least}, {"samples", t.samples}, {"calls", t.calls}};
}

}  // namespace coho::bench
