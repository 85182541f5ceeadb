#pragma once

#include <cstdint>
#include <limits>
#include <utility>

#include <ATen/ATen.h>

#include <coho/torch/log_prob_rows.hpp>

namespace coho::inline v0_1 {

/// One pass over a block of logits, forward and backward: the part of `fused_log_probs` that a device computes besides
/// its products. For authors of kernels. A block is `rows` tokens by `columns` words of the vocabulary, starting at
/// `first_column`; the numbers of a row are contiguous, and rows are `stride` apart.
///
///   z = logit · inverse_temperature + bias
///   forward:  m' = max(m, max_j z_j);  r = exp(m − m');  s' = r s + Σ_j exp(z_j − m')      (Milakov and Gimelshein,
///             u' = r (u + (m − m') s) + Σ_j (z_j − m') exp(z_j − m')                        arXiv 1805.02867, §3)
///   backward: dL/dlogit_j = inverse_temperature · (g 1[j = y] − p_j (g + h (log p_j + H))),  p_j = exp(z_j − lse)
///
/// Pointers are on the tensors' device. `bias` [columns] may be null; a target in another block changes nothing. All
/// numbers are finite except `maximum`, which is −∞ before the first block. Calls for different rows come from several
/// threads.
///
///     const coho::log_prob_block_kernels mine{.forward = my_forward, .backward = my_backward};
///     coho::fused_log_probs(hidden, head, targets, {.kernels = &mine});
struct log_prob_block_kernels {
  /// Rewrites logits to exp(z − m') and updates, one number per row, `maximum` m, `sum` s, `chosen` z_y and, unless it
  /// is null, `weighted_sum` u; `rescale` receives r and `entropy_block`, null or contiguous [rows, columns], (z − m')
  /// exp(z − m').
  using forward_fn = void(float* logits, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                          const float* bias, float inverse_temperature, const std::int64_t* targets,
                          std::int64_t first_column, float* maximum, float* sum, float* weighted_sum, float* chosen,
                          float* rescale, float* entropy_block);
  /// Rewrites logits to dL/dlogit from `d_log_prob` g and `d_entropy` h, either of which may be null; `entropy` H goes
  /// with h.
  using backward_fn = void(float* logits, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                           const float* bias, float inverse_temperature, const std::int64_t* targets,
                           std::int64_t first_column, const float* log_sum_exp, const float* entropy,
                           const float* d_log_prob, const float* d_entropy);

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
  at::Tensor log_sum_exp() const { return sum.log().add_(maximum); }
};

template <class Number>
Number* data_or_null(const at::Tensor& x) {
  return x.defined() ? x.data_ptr<Number>() : nullptr;
}
inline at::Tensor column(const at::Tensor& x) { return x.unsqueeze(1); }

/// Whether a target is in the block, and where.
inline std::pair<at::Tensor, at::Tensor> targets_inside(const at::Tensor& targets, std::int64_t first,
                                                        std::int64_t columns) {
  const at::Tensor place = targets - first;
  return {place.ge(0).logical_and_(place.lt(columns)), column(place.clamp(0, columns - 1))};
}

/// Like `log_prob_block_kernels::forward`, with libtorch operators: any device, any type.
inline void log_prob_block_forward_by_operators(const at::Tensor& logits, const at::Tensor& bias,
                                                double inverse_temperature, const at::Tensor& targets,
                                                std::int64_t first_column, const log_prob_state& state,
                                                const at::Tensor& entropy_block) {
  constexpr double nothing = -std::numeric_limits<double>::infinity();
  if (inverse_temperature != 1) logits.mul_(inverse_temperature);
  if (bias.defined()) logits.add_(bias);
  const auto [inside, place] = targets_inside(targets, first_column, logits.size(1));
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
inline void log_prob_block_backward_by_operators(const at::Tensor& logits, const at::Tensor& bias,
                                                 double inverse_temperature, const at::Tensor& targets,
                                                 std::int64_t first_column, const at::Tensor& log_sum_exp,
                                                 const at::Tensor& entropy, const at::Tensor& d_log_prob,
                                                 const at::Tensor& d_entropy) {
  if (inverse_temperature != 1) logits.mul_(inverse_temperature);
  if (bias.defined()) logits.add_(bias);
  logits.sub_(column(log_sum_exp));
  at::Tensor slope;
  if (d_entropy.defined())
    slope = logits.clamp_min(exponential_constants<float>::least).add_(column(entropy)).mul_(column(d_entropy));
  if (d_log_prob.defined()) slope = slope.defined() ? slope.add_(column(d_log_prob)) : column(d_log_prob);
  logits.exp_().mul_(slope).mul_(-inverse_temperature);
  if (!d_log_prob.defined()) return;
  const auto [inside, place] = targets_inside(targets, first_column, logits.size(1));
  logits.scatter_add_(1, place, column(d_log_prob * inside).mul_(inverse_temperature));
}

/// Uses the given kernels, on the CPU its own, elsewhere operators. logits are contiguous, fp32 or fp64.
inline void log_prob_block_forward(const at::Tensor& logits, const at::Tensor& bias, double inverse_temperature,
                                   const at::Tensor& targets, std::int64_t first_column, const log_prob_state& state,
                                   const at::Tensor& entropy_block, const log_prob_block_kernels* kernels) {
  const auto with = [&](auto number, const auto& kernel) {
    using number_type = decltype(number);
    kernel(logits.data_ptr<number_type>(), logits.size(1), logits.size(0), logits.size(1),
           data_or_null<number_type>(bias), static_cast<number_type>(inverse_temperature),
           targets.data_ptr<std::int64_t>(), first_column, state.maximum.data_ptr<number_type>(),
           state.sum.data_ptr<number_type>(), data_or_null<number_type>(state.weighted_sum),
           state.chosen.data_ptr<number_type>(), state.rescale.data_ptr<number_type>(),
           data_or_null<number_type>(entropy_block));
  };
  if (kernels && logits.scalar_type() == at::kFloat)
    with(float{}, kernels->forward);
  else if (!logits.is_cpu())
    log_prob_block_forward_by_operators(logits, bias, inverse_temperature, targets, first_column, state, entropy_block);
  else if (logits.scalar_type() == at::kFloat)
    with(float{}, [](auto... arguments) { log_prob_block_forward_cpu<float>(arguments...); });
  else
    with(double{}, [](auto... arguments) { log_prob_block_forward_cpu<double>(arguments...); });
}

/// Like `log_prob_block_forward`.
inline void log_prob_block_backward(const at::Tensor& logits, const at::Tensor& bias, double inverse_temperature,
                                    const at::Tensor& targets, std::int64_t first_column, const at::Tensor& log_sum_exp,
                                    const at::Tensor& entropy, const at::Tensor& d_log_prob,
                                    const at::Tensor& d_entropy, const log_prob_block_kernels* kernels) {
  const auto with = [&](auto number, const auto& kernel) {
    using number_type = decltype(number);
    kernel(logits.data_ptr<number_type>(), logits.size(1), logits.size(0), logits.size(1),
           data_or_null<number_type>(bias), static_cast<number_type>(inverse_temperature),
           targets.data_ptr<std::int64_t>(), first_column, log_sum_exp.data_ptr<number_type>(),
           data_or_null<number_type>(entropy), data_or_null<number_type>(d_log_prob),
           data_or_null<number_type>(d_entropy));
  };
  if (kernels && logits.scalar_type() == at::kFloat)
    with(float{}, kernels->backward);
  else if (!logits.is_cpu())
    log_prob_block_backward_by_operators(logits, bias, inverse_temperature, targets, first_column, log_sum_exp, entropy,
                                         d_log_prob, d_entropy);
  else if (logits.scalar_type() == at::kFloat)
    with(float{}, [](auto... arguments) { log_prob_block_backward_cpu<float>(arguments...); });
  else
    with(double{}, [](auto... arguments) { log_prob_block_backward_cpu<double>(arguments...); });
}

}  // namespace detail
}  // namespace coho::inline v0_1
