#pragma once

#include <cstdint>
#include <string>

#include "bench_machine.hpp"
#include "decoder/weights.hpp"
#include "plan/memory_plan.hpp"

namespace coho::bench {

/// The sizes that everything here is measured with: of LLaMA-2 70B and SALMON's PPO step (paper §4.1.2), or tiny ones.
struct shapes {
  trainer::llama_config model;  ///< of all layers; few of them are built
  std::int64_t rank = 64;
  std::int64_t query_tokens = 256, response_tokens = 1024;
  std::int64_t rollouts = 144;         ///< of the PPO step that is measured, decoded together: a quarter of 576
  std::int64_t device_batch = 6;       ///< sequences a device in the paper
  std::int64_t scoring_tokens = 7680;  ///< of a forward without gradients: device_batch · 1280
  std::int64_t decoded_tokens = 128;   ///< of the decoding that is timed
  std::int64_t log_prob_tokens = 4096;

  static shapes of(const bench_machine& machine);
  std::int64_t length() const { return query_tokens + response_tokens; }
};

/// Random weights of the first `layers` layers, the linears packed as NF4 with double quantisation.
trainer::llama_weights random_weights(const shapes& sizes, const bench_machine& machine, std::int64_t layers);
/// The first layers of weights, sharing their storage.
trainer::llama_weights first_layers(const trainer::llama_weights& weights, std::int64_t layers);

/// Policy, reference, reward and value model as `coho ppo` holds them over one NF4 base, with full recomputation and
/// fp32 moments: what the plans of memory and time are asked about.
trainer::memory_plan_options four_models_plan(const shapes& sizes, const bench_machine& machine, std::int64_t layers);

}  // namespace coho::bench
