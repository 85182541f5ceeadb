#pragma once

#include <cmath>
#include <type_traits>
#include <utility>

#include <coho/error.hpp>
#include <coho/loss/detail/log_ratio.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/policy_loss_inputs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

struct sapo_options {
  double temperature_positive = 1;     ///< τ where A > 0
  double temperature_negative = 1.05;  ///< τ elsewhere; larger: updates away from a token fade sooner

  static void describe(auto&& visit, auto&... o) {
    visit({"temperature_positive", "τ where the advantage is positive", allowed::above(0)}, o.temperature_positive...);
    visit({"temperature_negative", "τ elsewhere", allowed::above(0)}, o.temperature_negative...);
  }
};

template <class Value, class Array>
struct sapo_result {
  Value value;
  Array d_log_probs;  ///< gradient of the value; 0 where the weight is 0
  Value gate;         ///< mean over tokens of the gate 4·σ·(1 − σ): 1 at the old policy, 0 far from it
  Value approximate_kl;  ///< mean over tokens of ρ − 1 − log ρ, an estimate of KL(old ‖ new) that is never negative
  Value tokens;          ///< tokens of nonzero weight: for combining the two means over parts of a batch
};

/// Soft adaptive policy optimisation (Gao et al. 2025, arXiv 2511.20347): in place of PPO's clip a smooth gate, which
/// fades a token's update the further its ratio is from 1, on either side:
///
///     L = −Σ_t w_t · A_t · σ(τ_t·(ρ_t − 1)) · 4/τ_t,   ρ_t = exp(log π(y_t) − log π_old(y_t))
///     ∂L/∂log π(y_t) = −w_t · A_t · ρ_t · 4·σ_t·(1 − σ_t)
///
/// with σ the logistic function and τ_t by the sign of A_t. At ρ = 1 the gate is 1: the gradient is REINFORCE's. log ρ
/// is limited to ±20. Uses `log_probs`, `old_log_probs`, `advantages` and `weights` of `policy_loss_inputs`: arrays,
/// ranges or tensors. Without weights the loss is the mean. Three numbers give the term of one token. `operator()`
/// returns double, or a 0-d tensor that is differentiable; `value_and_grad` a `sapo_result`. Throws option_error at
/// construction; argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::sapo_loss loss{{.temperature_negative = 1.05}};
///     auto result = loss.value_and_grad(
///         {.log_probs = log_probs, .old_log_probs = old, .advantages = advantages, .weights = weights});
///     // result.value, result.d_log_probs
class sapo_loss {
 public:
  explicit sapo_loss(const sapo_options& options = {}) : options_(options) { validate(options); }
  const sapo_options& options() const noexcept { return options_; }

  /// One token, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 1, 2> element(const T& log_prob, const T& old_log_prob, const T& advantage) const {
    using std::exp;
    const T log_ratio = detail::limited_log_ratio(T(log_prob - old_log_prob));
    const T ratio = exp(log_ratio);
    const T zero = 0.0 * advantage;
    const T temperature =
        coho::where(advantage > 0, T(zero + options_.temperature_positive), T(zero + options_.temperature_negative));
    const T sigma = 1.0 / (1.0 + exp(T(-(temperature * (ratio - 1.0)))));
    element_terms<T, 1, 2> out;
    out.value = -advantage * sigma * (4.0 / temperature);
    if constexpr (Gradient) {
      const T gate = 4.0 * sigma * (1.0 - sigma);
      out.slopes = {T(-advantage * ratio * gate)};
      out.measures = {gate, detail::token_divergence(ratio, log_ratio)};
    }
    return out;
  }

  double operator()(double log_prob, double old_log_prob, double advantage) const {
    return element<false>(log_prob, old_log_prob, advantage).value;
  }
  template <class Array = double>
  auto operator()(const policy_loss_inputs<Array>& in) const {
    return frame.weighted_value(*this, in.weights, in.log_probs, in.old_log_probs, in.advantages);
  }
  template <class Array = double>
  auto value_and_grad(const policy_loss_inputs<Array>& in) const {
    auto result = frame.weighted_value_and_grad(*this, in.weights, in.log_probs, in.old_log_probs, in.advantages);
    auto& d_log_probs = result.gradients[0];
    return sapo_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{
        result.value, std::move(d_log_probs), result.measures[0], result.measures[1], result.count};
  }

 private:
  static constexpr elementwise_loss<1, 3> frame{"sapo_loss", {"log_probs", "old_log_probs", "advantages"}};

  sapo_options options_;
};

}  // namespace coho::inline v0_1
