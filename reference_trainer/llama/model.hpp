#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ATen.h>

#include "adapters/lora.hpp"
#include "adapters/projection.hpp"
#include "decoder/kv_cache.hpp"
#include "decoder/layout.hpp"
#include "decoder/prefix_cache.hpp"
#include "decoder/prefix_layout.hpp"
#include "decoder/recomputation.hpp"
#include "decoder/weights.hpp"

namespace coho::trainer {

/// cos and sin of the rotary embedding for positions 0 … length − 1, fp32 [length, D/2], extended when longer sequences
/// arrive.
class rope_cache {
 public:
  explicit rope_cache(const llama_config& config, at::Device device = at::kCPU) : config_(config), device_(device) {}
  struct tables {
    at::Tensor cos, sin;  ///< [N, D/2]
  };
  /// Rows for the given positions; `longest` is the longest position + 1 among the sequences of the call.
  tables at_positions(const at::Tensor& positions, std::int64_t longest);

 private:
  llama_config config_;
  at::Device device_;
  std::int64_t length_ = 0;
  at::Tensor cos_, sin_;
};

/// The settings of one forward pass that is followed by a backward pass.
struct training_pass {
  recomputation recompute = recomputation::selective;
  double dropout = 0;  ///< of the adapters' inputs
  rng random{0};       ///< selects the elements that dropout drops; one per forward pass
};

/// The decoder's forward pass over any weights and adapter: final-norm hidden states, never logits.
class llama_model {
 public:
  explicit llama_model(const llama_config& config, at::Device device = at::kCPU)
      : config_(config), rope_(config, device) {}

  const llama_config& config() const { return config_; }

  /// Hidden states [N, H] of packed tokens (int64 [N]). Differentiable in everything that requires gradients. With a
  /// cache, keys and values of sequence i are stored in slots[i] as they are computed (the prompts of a generation).
  at::Tensor hidden(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                    const sequence_layout& layout, kv_cache* cache = nullptr, std::span<const std::int64_t> slots = {},
                    const training_pass& pass = {});

  /// Keys and values of one sequence, for others that begin with it. tokens int64 [T], T > 0.
  prefix_cache prefix(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens);

  /// Hidden states [N, H] of sequences that share prefixes, each prefix computed once: equal to those of the whole
  /// sequences to rounding. `prefix` has the length that the layout was made for, or is null. With a cache, the own
  /// keys and values of sequence i are stored in slots[i] from position 0 on. No gradient.
  at::Tensor hidden(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                    const prefix_layout& layout, const prefix_cache* prefix = nullptr, kv_cache* cache = nullptr,
                    std::span<const std::int64_t> slots = {});

  /// One decoding step for slots 0 … n − 1: tokens int64 [n] at `positions` of the cache, counted from the end of the
  /// prefix if there is one; returns [n, H]. No gradient.
  at::Tensor decode(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                    std::span<const std::int64_t> positions, kv_cache& cache, const prefix_cache* prefix = nullptr);

 private:
  // All blocks and the final norm. attend(block, q, k, v) is the attention over the rotated heads of all rows; what it
  // captures is copied into the graph.
  template <class Attend>
  at::Tensor run_blocks(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                        const rope_cache::tables& rope, const training_pass& pass, const Attend& attend) const;

  llama_config config_;
  rope_cache rope_;
};

}  // namespace coho::trainer
