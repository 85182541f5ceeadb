#include "llama/model.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <coho/error.hpp>

#include "llama/attention.hpp"
#include "llama/decoder_ops.hpp"
#include "llama/rope.hpp"

namespace coho::trainer {
namespace {

at::Tensor linear(const llama_weights& weights, const lora_adapter* adapter, std::size_t block, linear_kind kind, const at::Tensor& x) {
  const bool adapted = adapter != nullptr && !adapter->empty();
  return adapted_linear(x, weights.blocks[block][kind], adapted ? &adapter->pair(block, kind) : nullptr);
}

at::Tensor feed_forward(const llama_weights& weights, const lora_adapter* adapter, std::size_t block, const at::Tensor& x) {
  const at::Tensor gate = linear(weights, adapter, block, linear_kind::gate, x);
  const at::Tensor up = linear(weights, adapter, block, linear_kind::up, x);
  return linear(weights, adapter, block, linear_kind::down, gated_silu(gate, up));
}

// [N, heads · D] split into heads.
at::Tensor heads(const at::Tensor& x, std::int64_t depth) { return x.view({x.size(0), x.size(1) / depth, depth}); }

}  // namespace

rope_cache::tables rope_cache::at_positions(const at::Tensor& positions, std::int64_t longest) {
  // Dynamic scaling changes the whole table with the length; every other kind only grows.
  const bool stale = config_.rope.type == rope_type::dynamic ? longest != length_ : longest > length_;
  if (stale) {
    length_ = config_.rope.type == rope_type::dynamic ? longest : std::max(longest, std::max<std::int64_t>(2 * length_, 64));
    const rope_table table = make_rope_table(config_, length_);
    const auto half = static_cast<std::int64_t>(table.inverse_frequencies.size());
    at::Tensor cos = at::empty({length_, half}, at::kFloat), sin = at::empty({length_, half}, at::kFloat);
    float *c = cos.data_ptr<float>(), *s = sin.data_ptr<float>();
    for (std::int64_t t = 0; t < length_; ++t) {
      for (std::int64_t j = 0; j < half; ++j) {
        const float angle = static_cast<float>(t) * table.inverse_frequencies[static_cast<std::size_t>(j)];
        c[t * half + j] = static_cast<float>(std::cos(angle) * table.attention_scale);
        s[t * half + j] = static_cast<float>(std::sin(angle) * table.attention_scale);
      }
    }
    cos_ = cos.to(device_);
    sin_ = sin.to(device_);
  }
  return {cos_.index_select(0, positions), sin_.index_select(0, positions)};
}

at::Tensor llama_model::hidden(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                               const sequence_layout& layout, kv_cache* cache, std::span<const std::int64_t> slots) {
  const double epsilon = config_.rms_norm_eps;
  const std::int64_t window = config_.sliding_window.value_or(0);
  const auto rope = rope_.at_positions(layout.positions, layout.longest);
  at::Tensor x = at::embedding(weights.embedding, tokens);
  for (std::size_t i = 0; i < weights.blocks.size(); ++i) {
    const decoder_block& block = weights.blocks[i];
    const at::Tensor in = rms_norm(x, block.input_norm, epsilon);
    const at::Tensor q = apply_rope(heads(linear(weights, adapter, i, linear_kind::q, in), config_.head_dim), rope.cos, rope.sin);
    const at::Tensor k = apply_rope(heads(linear(weights, adapter, i, linear_kind::k, in), config_.head_dim), rope.cos, rope.sin);
    const at::Tensor v = heads(linear(weights, adapter, i, linear_kind::v, in), config_.head_dim);
    if (cache != nullptr) {
      for (std::size_t s = 0; s < slots.size(); ++s) {
        const std::int64_t first = layout.offsets[s], length = layout.offsets[s + 1] - first;
        cache->write(i, slots[s], 0, k.narrow(0, first, length), v.narrow(0, first, length));
      }
    }
    const at::Tensor mixed = layout.pack(causal_attention(layout.pad(q), layout.pad(k), layout.pad(v), window));
    x = x + linear(weights, adapter, i, linear_kind::o, mixed.reshape({layout.tokens, config_.query_size()}));
    x = x + feed_forward(weights, adapter, i, rms_norm(x, block.post_attention_norm, epsilon));
  }
  return rms_norm(x, weights.norm, epsilon);
}

at::Tensor llama_model::decode(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                               std::span<const std::int64_t> positions, kv_cache& cache) {
  const at::NoGradGuard no_gradient;
  const auto n = static_cast<std::int64_t>(positions.size());
  const std::int64_t longest = *std::max_element(positions.begin(), positions.end()) + 1;
  const std::int64_t window = config_.sliding_window.value_or(0);
  at::Tensor mask = at::zeros({n, longest}, at::kFloat), position = at::empty({n}, at::kLong);
  float* hidden = mask.data_ptr<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t last = positions[static_cast<std::size_t>(i)];
    position.data_ptr<std::int64_t>()[i] = last;
    const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, last - window + 1) : 0;
    for (std::int64_t t = 0; t < longest; ++t)
      if (t < first || t > last) hidden[i * longest + t] = -std::numeric_limits<float>::infinity();
  }
  const at::Device device = weights.embedding.device();
  mask = mask.to(device);
  position = position.to(device);

  const double epsilon = config_.rms_norm_eps;
  const auto rope = rope_.at_positions(position, longest);
  at::Tensor x = at::embedding(weights.embedding, tokens);
  for (std::size_t i = 0; i < weights.blocks.size(); ++i) {
    const decoder_block& block = weights.blocks[i];
    const at::Tensor in = rms_norm(x, block.input_norm, epsilon);
    const at::Tensor q = apply_rope(heads(linear(weights, adapter, i, linear_kind::q, in), config_.head_dim), rope.cos, rope.sin);
    const at::Tensor k = apply_rope(heads(linear(weights, adapter, i, linear_kind::k, in), config_.head_dim), rope.cos, rope.sin);
    const at::Tensor v = heads(linear(weights, adapter, i, linear_kind::v, in), config_.head_dim);
    cache.append(i, position, k, v);
    const at::Tensor mixed = cached_attention(q, cache.keys(i, n, longest), cache.values(i, n, longest), mask);
    x = x + linear(weights, adapter, i, linear_kind::o, mixed.view({n, config_.query_size()}));
    x = x + feed_forward(weights, adapter, i, rms_norm(x, block.post_attention_norm, epsilon));
  }
  return rms_norm(x, weights.norm, epsilon);
}

}  // namespace coho::trainer
