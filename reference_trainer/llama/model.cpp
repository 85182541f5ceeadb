#include "llama/model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>

#include "decoder/attention.hpp"
#include "decoder/decoder_ops.hpp"
#include "decoder/recompute.hpp"
#include "decoder/rope.hpp"

namespace coho::trainer {
namespace {

// The linears of one block with an adapter's pairs.
struct block_linears {
  const decoder_block& block;
  const lora_adapter* adapter;
  std::size_t index;
  double dropout;
  rng random;

  // Each linear of the model has its own random numbers for dropout.
  projection operator()(linear_kind kind) const {
    const bool adapted = adapter != nullptr && !adapter->empty();
    return {.weight = &block[kind],
            .bias = &block.biases[static_cast<std::size_t>(kind)],
            .pair = adapted ? &adapter->pair(index, kind) : nullptr,
            .dropout = dropout,
            .random = dropout > 0 ? random.split(index * linear_kinds + static_cast<std::size_t>(kind)) : random};
  }
};

// The second half of a block: x + down(silu(gate(norm(x))) ∘ up(norm(x))).
at::Tensor feed_forward(const block_linears& linears, const at::Tensor& x, double epsilon, keep_inputs keep) {
  const projection inner[] = {linears(linear_kind::gate), linears(linear_kind::up)};
  const auto out = project_normed(x, linears.block.post_attention_norm, epsilon, inner, keep);
  return x + project_gated(out[0], out[1], linears(linear_kind::down), keep);
}

// [N, heads · D] → [N, heads, D].
at::Tensor split_heads(const at::Tensor& x, std::int64_t depth) {
  return x.view({x.size(0), x.size(1) / depth, depth});
}

// The heads of q or k, normalised if the model does so, then rotated.
at::Tensor rotated_heads(const at::Tensor& x, const at::Tensor& norm, const llama_config& config,
                         const rope_cache::tables& rope) {
  const std::int64_t depth = config.head_dim;
  if (!norm.defined()) return apply_rope(split_heads(x, depth), rope.cos, rope.sin);
  return apply_rope(split_heads(rms_norm(x.reshape({-1, depth}), norm, config.rms_norm_eps).view_as(x), depth),
                    rope.cos, rope.sin);
}

// How many of the keys before position `first` are out of every window.
std::int64_t out_of_window(std::int64_t first, std::int64_t window) {
  return window > 0 ? std::max<std::int64_t>(0, first - window + 1) : 0;
}

// Attention of one block over a batch whose sequences share prefixes.
struct prefix_attention {
  const prefix_layout& layout;
  const prefix_cache* prefix;
  std::int64_t window;
  std::size_t block;

  // Of one part of the batch: q, k, v of all rows.
  at::Tensor operator()(const prefix_layout::part& part, const at::Tensor& mask, const at::Tensor& q,
                        const at::Tensor& k, const at::Tensor& v) const {
    const auto rows = [](const at::Tensor& x, std::int64_t first, std::int64_t count) {
      return x.narrow(0, first, count);
    };
    const auto [first, count] = part.queries;
    if (!mask.defined())
      return causal_attention(rows(q, first, count).unsqueeze(0), rows(k, first, count).unsqueeze(0),
                              rows(v, first, count).unsqueeze(0), window)
          .squeeze(0);
    const std::int64_t skipped = out_of_window(layout.cached + part.shared.count, window);
    const auto joined = [&](const at::Tensor& cached, const at::Tensor& fresh) {
      std::vector<at::Tensor> all;
      const std::int64_t passed = std::min(skipped, layout.cached), rest = skipped - passed;
      if (layout.cached > passed) all.push_back(cached.narrow(1, passed, layout.cached - passed));
      if (part.shared.count > rest)
        all.push_back(rows(fresh, part.shared.first + rest, part.shared.count - rest).transpose(0, 1));
      all.push_back(rows(fresh, first, count).transpose(0, 1));
      return at::cat(all, 1);
    };
    const at::Tensor none;
    return continued_attention(rows(q, first, count), joined(prefix ? prefix->keys(block) : none, k),
                               joined(prefix ? prefix->values(block) : none, v), mask);
  }
};

}  // namespace

rope_cache::tables rope_cache::at_positions(const at::Tensor& positions, std::int64_t longest) {
  // Dynamic scaling changes the whole table with the length; every other kind only grows.
  const bool stale = config_.rope.type == rope_type::dynamic ? longest != length_ : longest > length_;
  if (stale) {
    length_ =
        config_.rope.type == rope_type::dynamic ? longest : std::max(longest, std::max<std::int64_t>(2 * length_, 64));
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

template <class Attend>
at::Tensor llama_model::run_blocks(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                                   const rope_cache::tables& rope, const training_pass& pass,
                                   const Attend& attend) const {
  at::Tensor x = at::embedding(weights.embedding, tokens);
  for (std::size_t i = 0; i < weights.blocks.size(); ++i) {
    // By value except for the weights, which outlive the graph, because backward may run it again.
    const auto run_block = [this, i, adapter, rope, attend, pass, block = &weights.blocks[i]](const at::Tensor& in) {
      const block_linears linears{*block, adapter, i, pass.dropout, pass.random};
      const keep_inputs keep = pass.recompute == recomputation::selective ? keep_inputs::no : keep_inputs::yes;
      // A separate function: without gradients, attention's temporaries are freed before the feed-forward half begins.
      const auto attention = [&]() -> at::Tensor {
        const projection into_heads[] = {linears(linear_kind::q), linears(linear_kind::k), linears(linear_kind::v)};
        const auto qkv = project_normed(in, block->input_norm, config_.rms_norm_eps, into_heads, keep);
        const at::Tensor q = rotated_heads(qkv[0], block->query_norm, config_, rope);
        const at::Tensor k = rotated_heads(qkv[1], block->key_norm, config_, rope);
        const at::Tensor mixed = attend(i, q, k, split_heads(qkv[2], config_.head_dim));
        return in + project(mixed.reshape({in.size(0), config_.query_size()}), linears(linear_kind::o));
      };
      return feed_forward(linears, attention(), config_.rms_norm_eps, keep);
    };
    x = pass.recompute == recomputation::full ? recompute_in_backward(run_block, x) : run_block(x);
  }
  return rms_norm(x, weights.norm, config_.rms_norm_eps);
}

at::Tensor llama_model::hidden(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                               const sequence_layout& layout, kv_cache* cache, std::span<const std::int64_t> slots,
                               const training_pass& pass) {
  const std::int64_t window = config_.sliding_window.value_or(0);
  const auto attend = [layout, cache, slots, window](std::size_t block, const at::Tensor& q, const at::Tensor& k,
                                                     const at::Tensor& v) {
    if (cache != nullptr) {
      for (std::size_t s = 0; s < slots.size(); ++s) {
        const std::int64_t first = layout.offsets[s], length = layout.offsets[s + 1] - first;
        cache->write(block, slots[s], 0, k.narrow(0, first, length), v.narrow(0, first, length));
      }
    }
    return layout.pack(causal_attention(layout.pad(q), layout.pad(k), layout.pad(v), window));
  };
  return run_blocks(weights, adapter, tokens, rope_.at_positions(layout.positions, layout.longest), pass, attend);
}

prefix_cache llama_model::prefix(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens) {
  const at::NoGradGuard no_gradient;
  const std::int64_t length = tokens.size(0), slot = 0;
  kv_cache cache(config_, 1, length, weights.head.options().requires_grad(false));
  hidden(weights, adapter, tokens, sequence_layout({&length, 1}, weights.embedding.device()), &cache, {&slot, 1});
  return prefix_cache(std::move(cache));
}

at::Tensor llama_model::hidden(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                               const prefix_layout& layout, const prefix_cache* prefix, kv_cache* cache,
                               std::span<const std::int64_t> slots) {
  require_argument(layout.cached == (prefix ? prefix->length() : 0),
                   "llama_model: the layout was made for another prefix");
  const at::NoGradGuard no_gradient;
  const std::int64_t window = config_.sliding_window.value_or(0);
  // One mask per part for all blocks; sequences that share nothing need none.
  std::vector<at::Tensor> masks;
  for (const auto& part : layout.parts) {
    const std::int64_t before = layout.cached + part.shared.count;
    masks.push_back(before == 0 ? at::Tensor()
                                : continuation_mask(before - out_of_window(before, window), part.lengths, window,
                                                    weights.head.options().requires_grad(false)));
  }
  const auto attend = [&](std::size_t block, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    for (std::size_t s = 0; s < slots.size(); ++s) {
      const auto [first, length] = layout.own[s];
      cache->write(block, slots[s], 0, k.narrow(0, first, length), v.narrow(0, first, length));
    }
    const prefix_attention attention{.layout = layout, .prefix = prefix, .window = window, .block = block};
    std::vector<at::Tensor> mixed;
    for (std::size_t p = 0; p < masks.size(); ++p) mixed.push_back(attention(layout.parts[p], masks[p], q, k, v));
    return at::cat(mixed, 0);
  };
  return run_blocks(weights, adapter, tokens, rope_.at_positions(layout.positions, layout.longest), {}, attend);
}

at::Tensor llama_model::decode(const llama_weights& weights, const lora_adapter* adapter, const at::Tensor& tokens,
                               std::span<const std::int64_t> positions, kv_cache& cache, const prefix_cache* prefix) {
  const at::NoGradGuard no_gradient;
  const auto n = static_cast<std::int64_t>(positions.size());
  const std::int64_t longest = *std::max_element(positions.begin(), positions.end()) + 1;
  const std::int64_t window = config_.sliding_window.value_or(0), before = prefix ? prefix->length() : 0;
  at::Tensor mask = at::zeros({n, longest}, at::kFloat), position = at::empty({n}, at::kLong), prefix_mask;
  if (window > 0 && before > 0) prefix_mask = at::zeros({n, before}, at::kFloat);
  constexpr float hidden = -std::numeric_limits<float>::infinity();
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t last = positions[static_cast<std::size_t>(i)];
    position.data_ptr<std::int64_t>()[i] = last;
    float* const row = mask.data_ptr<float>() + i * longest;
    std::fill(row, row + out_of_window(last, window), hidden);
    std::fill(row + last + 1, row + longest, hidden);
    if (!prefix_mask.defined()) continue;
    float* const shared = prefix_mask.data_ptr<float>() + i * before;
    std::fill(shared, shared + std::min(before, out_of_window(before + last, window)), hidden);
  }
  const at::Device device = weights.embedding.device();
  mask = mask.to(device);
  position = position.to(device);
  if (prefix_mask.defined()) prefix_mask = prefix_mask.to(device);

  const double epsilon = config_.rms_norm_eps;
  const auto rope = rope_.at_positions(before > 0 ? position + before : position, before + longest);
  at::Tensor x = at::embedding(weights.embedding, tokens);
  for (std::size_t i = 0; i < weights.blocks.size(); ++i) {
    const decoder_block& block = weights.blocks[i];
    const block_linears linears{block, adapter, i, 0, rng{0}};
    const projection into_heads[] = {linears(linear_kind::q), linears(linear_kind::k), linears(linear_kind::v)};
    const auto qkv = project_normed(x, block.input_norm, epsilon, into_heads);
    const at::Tensor q = rotated_heads(qkv[0], block.query_norm, config_, rope);
    const at::Tensor k = rotated_heads(qkv[1], block.key_norm, config_, rope);
    cache.append(i, position, k, split_heads(qkv[2], config_.head_dim));
    const at::Tensor keys = cache.keys(i, n, longest), values = cache.values(i, n, longest);
    const at::Tensor mixed =
        before > 0 ? cached_attention(q, keys, values, mask, {prefix->keys(i), prefix->values(i), prefix_mask})
                   : cached_attention(q, keys, values, mask);
    x = x + project(mixed.view({n, config_.query_size()}), linears(linear_kind::o));
    x = feed_forward(linears, x, epsilon, keep_inputs::no);
  }
  return rms_norm(x, weights.norm, epsilon);
}

}  // namespace coho::trainer
