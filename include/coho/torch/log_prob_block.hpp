#pragma once

#include <cstdint>
#include <limits>
#include <utility>

#include <ATen/ATen.h>

#include <coho/torch/log_prob_rows.hpp>

namespace coho::inline v0_1 {

/// One pass over a block of logits, forward and backward: the part of `fused_log_probs` that a device computes besides
/// its products. For authors of kernels.
///
///   z = logit · inverse_temperature + bias
///   forward:  m' = max(m, max_j z_j);  r = exp(m − m');  s' = r s + Σ_j exp(z_j − m')      (Milakov and Gimelshein,
///             u' = r (u + (m − m') s) + Σ_j (z_j − m') exp(z_j − m')                        arXiv 1805.02867, §3)
///   backward: dL/dlogit_j = inverse_temperature · (g 1[j = y] − p_j (g + h (log p_j + H))),  p_j = exp(z_j − lse)
///
/// All numbers are finite except `maximum`, which is −∞ before the first block. Calls for different rows come from
/// several threads.
///
///     const coho::log_prob_block_kernels mine{.forward = my_forward, .backward = my_backward};
///     coho::fused_log_probs(hidden, head, targets, {.kernels = &mine});
struct log_prob_block_kernels {
  /// Rewrites logits to exp(z − m') and updates the sums.
  using forward_fn = void(const logit_block<float>&, const softmax_sums<float>&);
  /// Rewrites logits to dL/dlogit.
  using backward_fn = void(const logit_block<float>&, const log_prob_slopes<float>&);

  forward_fn* forward = nullptr;
  backward_fn* backward = nullptr;
};

namespace detail {

/// What blocks of the same rows pass on to the next; `weighted_sum` is undefined unless the entropy is requested.
struct log_prob_state {
  at::Tensor maximum, sum, chosen, rescale, weighted_sum;

  log_prob_state(std::int64_t rows, bool entropy, const at::TensorOptions& options)
      : maximum(at::full({rows}, -std::numeric_limits<double>::infinity(), options)),
        sum(at::zeros({rows}, options)),
        chosen(at::full({rows}, std::numeric_limits<double>::quiet_NaN(), options)),
        rescale(at::zeros({rows}, options)) {
    if (entropy) weighted_sum = at::zeros({rows}, options);
  }
  /// log Σ_j exp z_j of each row, once all blocks are done.
  at::Tensor log_sum_exp() const { return sum.log().add_(maximum); }
};

/// The numbers of a contiguous tensor, or null for an undefined one.
template <class Number>
Number* data_or_null(const at::Tensor& x) {
  return x.defined() ? x.data_ptr<Number>() : nullptr;
}
/// A block of logits [rows, columns], contiguous, fp32 or fp64, with what belongs to it.
struct logit_tensors {
  at::Tensor logits, bias;  ///< `bias` may be undefined
  double inverse_temperature;
  at::Tensor targets;
  std::int64_t first_column;

  /// The block as kernels take it; `Number` is the type of the logits.
  template <class Number>
  logit_block<Number> view() const {
    return {.logits = logits.data_ptr<Number>(),
            .stride = logits.size(1),
            .rows = logits.size(0),
            .columns = logits.size(1),
            .bias = data_or_null<Number>(bias),
            .inverse_temperature = static_cast<Number>(inverse_temperature),
            .targets = targets.data_ptr<std::int64_t>(),
            .first_column = first_column};
  }
};

/// Per row; all but `log_sum_exp` may be undefined.
struct slope_tensors {
  at::Tensor log_sum_exp, entropy, d_log_prob, d_entropy;

  /// The slopes as kernels take them.
  template <class Number>
  log_prob_slopes<Number> view() const {
    return {.log_sum_exp = log_sum_exp.data_ptr<Number>(),
            .entropy = data_or_null<Number>(entropy),
            .d_log_prob = data_or_null<Number>(d_log_prob),
            .d_entropy = data_or_null<Number>(d_entropy)};
  }
};

/// [n] as [n, 1], to be broadcast over the columns of a block.
inline at::Tensor column(const at::Tensor& x) { return x.unsqueeze(1); }

/// For each row: whether its target is in the block [rows], and its column there [rows, 1], a valid one even if not.
inline std::pair<at::Tensor, at::Tensor> locate_targets(const at::Tensor& targets, std::int64_t first,
                                                        std::int64_t columns) {
  const at::Tensor place = targets - first;
  return {place.ge(0).logical_and_(place.lt(columns)), column(place.clamp(0, columns - 1))};
}

/// Like `log_prob_block_kernels::forward`, with libtorch operators: any device, any type.
inline void log_prob_block_forward_by_operators(const logit_tensors& block, const log_prob_state& state,
                                                const at::Tensor& entropy_block) {
  const auto& [logits, bias, inverse_temperature, targets, first_column] = block;
  constexpr double nothing = -std::numeric_limits<double>::infinity();
  if (inverse_temperature != 1) logits.mul_(inverse_temperature);
  if (bias.defined()) logits.add_(bias);
  const auto [inside, place] = locate_targets(targets, first_column, logits.size(1));
  state.chosen.copy_(at::where(inside, logits.gather(1, place).squeeze(1), state.chosen));
  const at::Tensor after = at::maximum(state.maximum, logits.amax(1));
  const at::Tensor shift = after.masked_fill(after.eq(nothing), 0), moved = state.maximum - shift;
  state.rescale.copy_(moved.exp());
  state.maximum.copy_(after);
  logits.sub_(column(shift));
  at::Tensor product;
  if (state.weighted_sum.defined()) {
    product = entropy_block.defined() ? entropy_block : at::empty_like(logits);
    product.copy_(logits).clamp_min_(exponential_constants<float>::least);
    state.weighted_sum.add_(moved.clamp_min(-1e4).mul_(state.sum)).mul_(state.rescale);
  }
  logits.exp_();
  if (product.defined()) state.weighted_sum.add_(product.mul_(logits).sum(1));
  state.sum.mul_(state.rescale).add_(logits.sum(1));
}

/// Like `log_prob_block_kernels::backward`, with libtorch operators.
inline void log_prob_block_backward_by_operators(const logit_tensors& block, const slope_tensors& slopes) {
  const auto& [logits, bias, inverse_temperature, targets, first_column] = block;
  const auto& [log_sum_exp, entropy, d_log_prob, d_entropy] = slopes;
  if (inverse_temperature != 1) logits.mul_(inverse_temperature);
  if (bias.defined()) logits.add_(bias);
  logits.sub_(column(log_sum_exp));
  at::Tensor slope;
  if (d_entropy.defined())
    slope = logits.clamp_min(exponential_constants<float>::least).add_(column(entropy)).mul_(column(d_entropy));
  if (d_log_prob.defined()) slope = slope.defined() ? slope.add_(column(d_log_prob)) : column(d_log_prob);
  logits.exp_().mul_(slope).mul_(-inverse_temperature);
  if (!d_log_prob.defined()) return;
  const auto [inside, place] = locate_targets(targets, first_column, logits.size(1));
  logits.scatter_add_(1, place, column(d_log_prob * inside).mul_(inverse_temperature));
}

/// Pointers to the sums of `state`, whose type is `Number`, and to the block that receives the entropy's products.
template <class Number>
softmax_sums<Number> sums_view(const log_prob_state& state, const at::Tensor& entropy_block) {
  return {.maximum = state.maximum.data_ptr<Number>(),
          .sum = state.sum.data_ptr<Number>(),
          .weighted_sum = data_or_null<Number>(state.weighted_sum),
          .chosen = state.chosen.data_ptr<Number>(),
          .rescale = state.rescale.data_ptr<Number>(),
          .entropy_block = data_or_null<Number>(entropy_block)};
}

/// One block forward, by the given kernels for floats, else on the CPU by coho's loops and elsewhere by operators.
/// `entropy_block`: as in `softmax_sums`; may be undefined.
inline void log_prob_block_forward(const logit_tensors& block, const log_prob_state& state,
                                   const at::Tensor& entropy_block, const log_prob_block_kernels* kernels) {
  const bool single = block.logits.scalar_type() == at::kFloat;
  if (kernels && single)
    kernels->forward(block.view<float>(), sums_view<float>(state, entropy_block));
  else if (!block.logits.is_cpu())
    log_prob_block_forward_by_operators(block, state, entropy_block);
  else if (single)
    log_prob_block_forward_cpu(block.view<float>(), sums_view<float>(state, entropy_block));
  else
    log_prob_block_forward_cpu(block.view<double>(), sums_view<double>(state, entropy_block));
}

/// One block backward, chosen like `log_prob_block_forward`.
inline void log_prob_block_backward(const logit_tensors& block, const slope_tensors& slopes,
                                    const log_prob_block_kernels* kernels) {
  const bool single = block.logits.scalar_type() == at::kFloat;
  if (kernels && single)
    kernels->backward(block.view<float>(), slopes.view<float>());
  else if (!block.logits.is_cpu())
    log_prob_block_backward_by_operators(block, slopes);
  else if (single)
    log_prob_block_backward_cpu(block.view<float>(), slopes.view<float>());
  else
    log_prob_block_backward_cpu(block.view<double>(), slopes.view<double>());
}

}  // namespace detail
}  // namespace coho::inline v0_1
