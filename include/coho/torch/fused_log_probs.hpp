#pragma once

#include <algorithm>
#include <cstdint>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <coho/error.hpp>
#include <coho/torch/detail/fused_log_probs_blocks.hpp>
#include <coho/torch/log_prob_block.hpp>

namespace coho::inline v0_1 {

struct fused_log_probs_options {
  /// Logits are divided by it before the softmax.
  double temperature = 1.0;
  /// Added to the logits [V], fp32; a very negative finite number (−1e9) bans a token. Undefined: none.
  at::Tensor logit_bias{};
  /// Whether to compute the entropy, and whether its gradient too: that costs a third product with the head.
  bool entropy = false, entropy_gradient = true;
  /// Rows (tokens) and columns (words) of the blocks of logits; 0: chosen for the device. Each thread has one block.
  std::int64_t block_rows = 0, block_columns = 0;
  /// The functions that process a block of fp32 logits; must outlive backward. Null: coho's loops on the CPU, operators
  /// elsewhere.
  const log_prob_block_kernels* kernels = nullptr;
};

struct fused_log_probs_result {
  at::Tensor log_probs;  ///< [M] fp32
  at::Tensor entropy;    ///< [M] fp32, nats; undefined unless requested
};

namespace detail {

/// The autograd node of `fused_log_probs`.
struct fused_log_probs_function : torch::autograd::Function<fused_log_probs_function> {
  /// `slopes`: also compute d log p/dh and dH/dh, for backward.
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                                                const at::Tensor& head, const at::Tensor& targets,
                                                const fused_log_probs_options& options, bool slopes) {
    const fused_log_probs_blocks blocks(hidden, head, targets,
                                        {.logit_bias = options.logit_bias,
                                         .temperature = options.temperature,
                                         .block_rows = options.block_rows,
                                         .block_columns = options.block_columns,
                                         .kernels = options.kernels});
    const bool entropy = options.entropy, entropy_slopes = entropy && options.entropy_gradient;
    const std::int64_t count = hidden.size(0), width = hidden.size(1), words = head.size(0);
    at::Tensor log_probs = at::empty({count}, blocks.options()), normalizer = at::empty({count}, blocks.options());
    at::Tensor entropies = at::empty({entropy ? count : 0}, blocks.options());
    // First E = Σ_j e_j W_j and F = Σ_j (z_j − max) e_j W_j, at the end d log p/dh and dH/dh.
    at::Tensor slope = at::empty({slopes ? count : 0, width}, blocks.options());
    at::Tensor entropy_slope = at::empty({slopes && entropy_slopes ? count : 0, width}, blocks.options());
    blocks.for_each_block(count, blocks.rows, [&](std::int64_t first, std::int64_t n, auto& own) {
      const at::Tensor h = blocks.hidden_block(first, n), chosen = blocks.targets.narrow(0, first, n);
      const log_prob_state state(n, entropy, blocks.options());
      at::Tensor e_sum, f_sum;
      if (slopes) e_sum = slope.narrow(0, first, n);
      if (slopes && entropy_slopes) f_sum = entropy_slope.narrow(0, first, n);
      for (std::int64_t word = 0; word < words; word += blocks.columns) {
        const std::int64_t columns = std::min(blocks.columns, words - word);
        const at::Tensor w = blocks.head_block(word, columns, own);
        const at::Tensor logits = own.reserve(own.logits, n, columns, blocks.options());
        const at::Tensor product =
            f_sum.defined() ? own.reserve(own.entropy, n, columns, blocks.options()) : at::Tensor();
        blocks.product(logits, h, w.t(), false);
        log_prob_block_forward({.logits = logits,
                                .bias = blocks.bias_block(word, columns),
                                .inverse_temperature = blocks.inverse_temperature,
                                .targets = chosen,
                                .first_column = word},
                               state, product, blocks.kernels);
        if (!slopes) continue;
        if (word > 0) {
          const at::Tensor rescale = column(state.rescale);
          // With the old maximum m: Σ (z − m') e = Σ (z − m) e + (m − m') Σ e. Where r is 0, both sums start anew.
          if (f_sum.defined()) f_sum.addcmul_(e_sum, rescale.log().clamp_min_(-1e4)).mul_(rescale);
          e_sum.mul_(rescale);
        }
        blocks.product(e_sum, logits, w, word > 0);
        if (f_sum.defined()) blocks.product(f_sum, product, w, word > 0);
      }
      const at::Tensor log_sum = state.sum.log(), lse = log_sum + state.maximum;
      log_probs.narrow(0, first, n).copy_(state.chosen).sub_(lse);
      normalizer.narrow(0, first, n).copy_(lse);
      at::Tensor mean;  // Σ_j p_j (z_j − max)
      if (entropy) {
        mean = state.weighted_sum / state.sum;
        entropies.narrow(0, first, n).copy_(log_sum).sub_(mean);
      }
      const at::Tensor scale = column(-blocks.inverse_temperature / state.sum);
      if (f_sum.defined()) f_sum.addcmul_(e_sum, column(mean), -1).mul_(scale);
      if (slopes)
        e_sum.mul_(scale).add_(blocks.head.index_select(0, chosen).to(blocks.sums()), blocks.inverse_temperature);
    });
    context->save_for_backward({hidden, head, targets, normalizer, entropies, slope, entropy_slope});
    if (!entropy_slopes) context->mark_non_differentiable({entropies});
    // Undefined stays undefined: the entropy's part is computed only if its gradient is requested.
    context->set_materialize_grads(false);
    context->saved_data["bias"] = options.logit_bias.defined() ? options.logit_bias : at::empty({0});
    context->saved_data["temperature"] = options.temperature;
    context->saved_data["block_rows"] = options.block_rows;
    context->saved_data["block_columns"] = options.block_columns;
    context->saved_data["kernels"] = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(options.kernels));
    context->saved_data["hidden_gradient"] = slopes;
    context->saved_data["head_gradient"] = head.requires_grad();
    return {log_probs, entropies};
  }

  /// dL/dhidden by scaling the slopes of forward; dL/dhead by `head_gradient`. Each only if it is asked for.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    require_argument(!at::GradMode::is_enabled(),
                     "fused_log_probs: there is no second derivative; call backward without create_graph");
    const auto saved = context->get_saved_variables();
    const at::Tensor &hidden = saved[0], &head = saved[1], &normalizer = saved[3], &entropies = saved[4];
    at::Tensor g = gradients[0], g_entropy = gradients[1];
    if (g.defined()) g = g.to(normalizer.scalar_type()).contiguous();
    if (g_entropy.defined() && entropies.numel() == 0) g_entropy = at::Tensor();
    if (g_entropy.defined()) g_entropy = g_entropy.to(normalizer.scalar_type()).contiguous();
    at::Tensor d_hidden, d_head;
    if (context->saved_data["hidden_gradient"].toBool()) {
      at::Tensor sum = g.defined() ? saved[5] * column(g) : at::zeros(hidden.sizes(), normalizer.options());
      if (g_entropy.defined()) sum.addcmul_(saved[6], column(g_entropy));
      d_hidden = sum.to(hidden.scalar_type());
    }
    if (context->saved_data["head_gradient"].toBool()) {
      const at::Tensor added = context->saved_data["bias"].toTensor();
      const auto* kernels = reinterpret_cast<const log_prob_block_kernels*>(
          static_cast<std::intptr_t>(context->saved_data["kernels"].toInt()));
      const fused_log_probs_blocks blocks(hidden, head, saved[2],
                                          {.logit_bias = added.numel() > 0 ? added : at::Tensor(),
                                           .temperature = context->saved_data["temperature"].toDouble(),
                                           .block_rows = context->saved_data["block_rows"].toInt(),
                                           .block_columns = context->saved_data["block_columns"].toInt(),
                                           .kernels = kernels});
      d_head = head_gradient(blocks, normalizer, entropies, g, g_entropy);
    }
    return {d_hidden, d_head, at::Tensor(), at::Tensor(), at::Tensor()};
  }

  /// dL/dhead: each block of logits again, Σ over rows of dL/dlogit ⊗ h. `g`, `g_entropy`: dL/d(log p) and dL/dH,
  /// either may be undefined. Threads divide words, not rows: each sum has one owner.
  static at::Tensor head_gradient(const fused_log_probs_blocks& blocks, const at::Tensor& normalizer,
                                  const at::Tensor& entropies, const at::Tensor& g, const at::Tensor& g_entropy) {
    const at::Tensor out = at::empty_like(blocks.head);
    const std::int64_t count = blocks.hidden.size(0);
    const auto part = [](const at::Tensor& x, std::int64_t first, std::int64_t n) {
      return x.defined() ? x.narrow(0, first, n) : at::Tensor();
    };
    blocks.for_each_block(blocks.head.size(0), blocks.columns, [&](std::int64_t word, std::int64_t columns, auto& own) {
      const at::Tensor w = blocks.head_block(word, columns, own);
      // In the type of sums: a bf16 gradient would stop growing after a few hundred rows.
      const at::Tensor sum = at::zeros({columns, blocks.head.size(1)}, blocks.options());
      for (std::int64_t first = 0; first < count; first += blocks.rows) {
        const std::int64_t n = std::min(blocks.rows, count - first);
        const at::Tensor h = blocks.hidden_block(first, n),
                         logits = own.reserve(own.logits, n, columns, blocks.options());
        blocks.product(logits, h, w.t(), false);
        log_prob_block_backward({.logits = logits,
                                 .bias = blocks.bias_block(word, columns),
                                 .inverse_temperature = blocks.inverse_temperature,
                                 .targets = blocks.targets.narrow(0, first, n),
                                 .first_column = word},
                                {.log_sum_exp = normalizer.narrow(0, first, n),
                                 .entropy = g_entropy.defined() ? part(entropies, first, n) : at::Tensor(),
                                 .d_log_prob = part(g, first, n),
                                 .d_entropy = part(g_entropy, first, n)},
                                blocks.kernels);
        blocks.product(sum, logits.t(), h, true);
      }
      out.narrow(0, word, columns).copy_(sum);
    });
    return out;
  }
};

}  // namespace detail

/// Log-probabilities (and entropies) of target tokens directly from hidden states, block by block.
///
///   z = W h / τ + bias;  log p(y) = z_y − log Σ_j exp z_j;  H = log Σ exp z − Σ_j p_j z_j
///   d log p(y)/dh = (W_y − Σ_j p_j W_j)/τ;  dH/dh = −Σ_j p_j (log p_j + H) W_j/τ
///
/// The [M, V] logits are never materialised: the computation streams over blocks of tokens by words with a running
/// maximum and sum. If hidden states need a gradient, forward also sums exp(z_j) W_j, so that backward only scales
/// rows: two products in all. The gradient of the head recomputes each block. Logits and sums are fp32 whatever the
/// weights' type; on the CPU so are products. The result does not depend on the number of threads. Pass the hidden
/// states of response positions only.
///
/// hidden [M, H]; head W [V, H] of the same type; targets int64 [M]. Differentiable in hidden and head. Throws
/// argument_error for shapes that do not match and, on the CPU, targets outside the vocabulary; option_error for a
/// temperature that is not positive and for negative block sizes.
///
///     auto [log_probs, entropy] = coho::fused_log_probs(hidden, head, targets, {.temperature = 0.7});
struct fused_log_probs_fn {
  fused_log_probs_result operator()(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& targets,
                                    fused_log_probs_options options = {}) const {
    require_option(options.temperature > 0, "temperature", options.temperature, "above 0");
    require_option(options.block_rows >= 0, "block_rows", options.block_rows, "0 or more");
    require_option(options.block_columns >= 0, "block_columns", options.block_columns, "0 or more");
    require_argument(hidden.dim() == 2 && head.dim() == 2 && hidden.size(1) == head.size(1),
                     "fused_log_probs: hidden must be [M, H] and head [V, H] with the same H");
    require_argument(hidden.scalar_type() == head.scalar_type(),
                     "fused_log_probs: hidden and head must have the same type");
    require_argument(head.size(0) > 0, "fused_log_probs: head has no rows");
    require_argument(targets.dim() == 1 && targets.size(0) == hidden.size(0) && targets.scalar_type() == at::kLong,
                     "fused_log_probs: targets must be int64 [M]");
    // On other devices the check would synchronise.
    require_argument(!targets.is_cpu() || targets.numel() == 0 ||
                         (targets.min().item<std::int64_t>() >= 0 && targets.max().item<std::int64_t>() < head.size(0)),
                     "fused_log_probs: a target is outside the vocabulary");
    at::Tensor& bias = options.logit_bias;
    require_argument(!bias.defined() || (bias.dim() == 1 && bias.size(0) == head.size(0)),
                     "fused_log_probs: logit_bias must be [V]");
    require_argument(!options.kernels || (options.kernels->forward && options.kernels->backward),
                     "fused_log_probs: kernels must have both functions");
    // A token of probability 0 adds 0 to the entropy; with −∞ that would be 0·∞.
    if ((options.entropy || options.kernels) && bias.defined()) bias = bias.clamp_min(-1e30);
    const bool slopes = at::GradMode::is_enabled() && hidden.requires_grad();
    const auto out = detail::fused_log_probs_function::apply(hidden, head, targets, options, slopes);
    return {out[0], options.entropy ? out[1] : at::Tensor()};
  }
};
inline constexpr fused_log_probs_fn fused_log_probs{};

}  // namespace coho::inline v0_1
