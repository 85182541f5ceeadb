#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>

#include <coho/error.hpp>

namespace coho {

struct fused_log_probs_options {
  /// Logits are divided by it before the softmax.
  double temperature = 1.0;
  /// Added to the logits [V], fp32; a very negative finite number (−1e9) bans a token. Undefined: none.
  at::Tensor logit_bias{};
  /// Whether the entropy is wanted as well.
  bool entropy = false;
  /// Most numbers of a block of logits: rows at a time = this / V.
  std::int64_t block_numbers = std::int64_t{1} << 23;
};

struct fused_log_probs_result {
  at::Tensor log_probs;  ///< [M] fp32
  at::Tensor entropy;    ///< [M] fp32, nats; undefined unless asked for
};

namespace detail {

struct fused_log_probs_function : torch::autograd::Function<fused_log_probs_function> {
  // Into a block that is used again: fresh memory for every block would cost more than the arithmetic on it.
  static at::Tensor logits_of(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& bias,
                              double temperature, at::Tensor& block) {
    at::Tensor logits;
    if (head.scalar_type() == at::kFloat || head.scalar_type() == at::kDouble) {
      if (!block.defined()) block = at::empty({hidden.size(0), head.size(0)}, head.options().requires_grad(false));
      logits = block.narrow(0, 0, hidden.size(0));
      at::mm_out(logits, hidden, head.t());
    } else {
      logits = at::matmul(hidden, head.t()).to(at::kFloat);
    }
    if (temperature != 1.0) logits.mul_(1.0 / temperature);
    if (bias.numel() > 0) logits.add_(bias);
    return logits;
  }

  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                                                const at::Tensor& head, const at::Tensor& targets,
                                                const at::Tensor& bias, double temperature, bool entropy,
                                                std::int64_t block_numbers) {
    const std::int64_t count = hidden.size(0);
    const std::int64_t rows = std::max<std::int64_t>(1, block_numbers / head.size(0));
    const auto type = hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const auto options = hidden.options().dtype(type);
    at::Tensor log_probs = at::empty({count}, options), normalizer = at::empty({count}, options);
    at::Tensor entropies = entropy ? at::empty({count}, options) : at::empty({0}, options);
    at::Tensor block;
    for (std::int64_t first = 0; first < count; first += rows) {
      const std::int64_t n = std::min(rows, count - first);
      const at::Tensor logits = logits_of(hidden.narrow(0, first, n), head, bias, temperature, block);
      const at::Tensor chosen = logits.gather(1, targets.narrow(0, first, n).unsqueeze(1)).squeeze(1);
      const at::Tensor most = logits.amax(1, true);
      const at::Tensor shifted = logits.sub_(most);
      at::Tensor sum;
      if (entropy) {
        const at::Tensor e = at::exp(shifted);
        sum = e.sum(1);
        entropies.narrow(0, first, n).copy_(sum.log() - shifted.mul_(e).sum(1) / sum);
      } else {
        sum = shifted.exp_().sum(1);
      }
      const at::Tensor lse = sum.log_().add_(most.squeeze(1));
      log_probs.narrow(0, first, n).copy_(chosen - lse);
      normalizer.narrow(0, first, n).copy_(lse);
    }
    context->save_for_backward({hidden, head, targets, normalizer, entropies});
    context->saved_data["bias"] = bias;
    // Undefined stays undefined: the entropy's part is computed only for those who ask for its gradient.
    context->set_materialize_grads(false);
    context->saved_data["temperature"] = temperature;
    context->saved_data["rows"] = rows;
    context->saved_data["hidden_gradient"] = hidden.requires_grad();
    context->saved_data["head_gradient"] = head.requires_grad();
    return {log_probs, entropies};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    require_argument(!at::GradMode::is_enabled(),
                     "fused_log_probs: there is no second derivative; call backward without create_graph");
    const auto saved = context->get_saved_variables();
    const at::Tensor &hidden = saved[0], &head = saved[1], &targets = saved[2], &normalizer = saved[3],
                     &entropies = saved[4];
    const at::Tensor bias = context->saved_data["bias"].toTensor();
    const double temperature = context->saved_data["temperature"].toDouble();
    const std::int64_t rows = context->saved_data["rows"].toInt(), count = hidden.size(0);
    const bool hidden_gradient = context->saved_data["hidden_gradient"].toBool();
    const bool head_gradient = context->saved_data["head_gradient"].toBool();
    const at::Tensor& d_log_probs = gradients[0];
    const at::Tensor& d_entropy = gradients[1];
    at::Tensor d_hidden, d_head;
    if (hidden_gradient) d_hidden = at::empty_like(hidden);
    // In the type of the sums: a bf16 gradient would stop growing after a few hundred rows.
    if (head_gradient) d_head = at::zeros(head.sizes(), normalizer.options());
    at::Tensor block;
    for (std::int64_t first = 0; first < count; first += rows) {
      const std::int64_t n = std::min(rows, count - first);
      const at::Tensor h = hidden.narrow(0, first, n);
      const at::Tensor log_p = logits_of(h, head, bias, temperature, block);
      log_p.sub_(normalizer.narrow(0, first, n).unsqueeze(1));
      at::Tensor d_logits;
      if (d_entropy.defined() && d_entropy.numel() > 0) {
        // dH/dz_j = −p_j (log p_j + H); with the −g p_j of the log-probability: −p_j ((log p_j + H) d_H + g)
        const at::Tensor p = at::exp(log_p);
        d_logits =
            log_p.add_(entropies.narrow(0, first, n).unsqueeze(1)).mul_(d_entropy.narrow(0, first, n).unsqueeze(1));
        if (d_log_probs.defined()) d_logits.add_(d_log_probs.narrow(0, first, n).unsqueeze(1));
        d_logits.mul_(p).neg_();
      } else {
        d_logits = log_p.exp_();
        if (d_log_probs.defined())
          d_logits.mul_(d_log_probs.narrow(0, first, n).unsqueeze(1).neg());
        else
          d_logits.zero_();
      }
      if (d_log_probs.defined())
        d_logits.scatter_add_(1, targets.narrow(0, first, n).unsqueeze(1),
                              d_log_probs.narrow(0, first, n).unsqueeze(1).contiguous());
      if (temperature != 1.0) d_logits.mul_(1.0 / temperature);
      d_logits = d_logits.to(head.scalar_type());
      if (hidden_gradient) d_hidden.narrow(0, first, n).copy_(at::matmul(d_logits, head));
      if (head_gradient && d_head.scalar_type() == d_logits.scalar_type()) {
        d_head.addmm_(d_logits.t(), h);
      } else if (head_gradient) {
        d_head.add_(at::matmul(d_logits.t(), h));
      }
    }
    if (head_gradient) d_head = d_head.to(head.scalar_type());
    return {d_hidden, d_head, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace detail

/// Log-probabilities (and entropies) of target tokens straight from hidden states, block by block.
///
///   z = W h / τ + bias;  log p(y) = z_y − log Σ_j exp z_j;  H = log Σ exp z − Σ_j p_j z_j
///
/// The [M, V] logits are never held: forward and backward work on blocks of rows and backward computes each block
/// again. The log-sum-exp is in fp32 whatever the weights' type. Give it the hidden states of response positions only.
///
/// hidden [M, H]; head W [V, H]; targets int64 [M]. Differentiable in hidden and head.
/// Throws argument_error on shapes that do not fit, option_error on a temperature that is not positive.
///
///     auto [log_probs, entropy] = coho::fused_log_probs(hidden, head, targets, {.temperature = 0.7});
struct fused_log_probs_fn {
  fused_log_probs_result operator()(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& targets,
                                    const fused_log_probs_options& options = {}) const {
    require_option(options.temperature > 0, "temperature", options.temperature, "above 0");
    require_option(options.block_numbers > 0, "block_numbers", options.block_numbers, "at least 1");
    require_argument(hidden.dim() == 2 && head.dim() == 2 && hidden.size(1) == head.size(1),
                     "fused_log_probs: hidden must be [M, H] and head [V, H] with the same H");
    require_argument(head.size(0) > 0, "fused_log_probs: head has no rows");
    require_argument(targets.dim() == 1 && targets.size(0) == hidden.size(0) && targets.scalar_type() == at::kLong,
                     "fused_log_probs: targets must be int64 [M]");
    require_argument(
        !options.logit_bias.defined() || (options.logit_bias.dim() == 1 && options.logit_bias.size(0) == head.size(0)),
        "fused_log_probs: logit_bias must be [V]");
    // An autograd function takes no undefined tensor.
    at::Tensor bias =
        options.logit_bias.defined() ? options.logit_bias : at::empty({0}, hidden.options().requires_grad(false));
    // A token of probability 0 adds 0 to the entropy; with −∞ it would be 0·∞.
    if (options.entropy && bias.numel() > 0) bias = bias.clamp_min(-1e30);
    const auto out = detail::fused_log_probs_function::apply(hidden, head, targets, bias, options.temperature,
                                                             options.entropy, options.block_numbers);
    return {out[0], options.entropy ? out[1] : at::Tensor()};
  }
};
inline constexpr fused_log_probs_fn fused_log_probs{};

}  // namespace coho
