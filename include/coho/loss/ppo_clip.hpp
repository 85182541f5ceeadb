#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/error.hpp>
#include <coho/loss/detail/log_ratio.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/inputs/policy_loss_inputs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

struct ppo_clip_options {
  double clip_low = 0.2;   ///< ratios below 1 − clip_low gain nothing; in (0, 1)
  double clip_high = 0.2;  ///< ratios above 1 + clip_high gain nothing; > 0
  double dual_clip = 0;    ///< c: a negative advantage loses at most −c·A (Ye et al. 2020); > 1, or 0 for off

  static void describe(auto&& visit, auto&... o) {
    visit({"clip_low", "ratios below 1 − clip_low gain nothing", allowed::in_open(0, 1)}, o.clip_low...);
    visit({"clip_high", "ratios above 1 + clip_high gain nothing", allowed::above(0).or_infinity()}, o.clip_high...);
    visit({"dual_clip", "c: the loss of a negative advantage A is at most −c·A; 0: off",
           allowed::above(1).or_zero().or_infinity()},
          o.dual_clip...);
  }
};

template <class Value, class Array>
struct ppo_clip_result {
  Value value;          ///< the loss
  Array d_log_probs;    ///< its gradient; 0 where the weight is 0
  Value clip_fraction;  ///< fraction of tokens whose gradient the clip removes
  Value approximate_kl;  ///< mean over tokens of ρ − 1 − log ρ, an estimate of KL(old ‖ new) that is never negative
  Value tokens;          ///< tokens of nonzero weight: for combining the two means over parts of a batch
};

/// The clipped policy loss of PPO (Schulman et al. 2017, eq. 7), summed over tokens with weights w:
///
///     L = Σ_t w_t · max(−A_t·ρ_t, −A_t·clip(ρ_t, 1 − clip_low, 1 + clip_high))
///     ρ_t = exp(log π(y_t) − log π_old(y_t))
///
/// Different bounds are DAPO's clip-higher. log ρ is limited to ±20, so that a diverging run shows huge numbers
/// instead of infinities; beyond, the gradient is 0. Uses `log_probs`, `old_log_probs`, `advantages` and `weights` of
/// `policy_loss_inputs`: arrays, ranges or tensors. Without weights the loss is the mean. Three numbers give the term
/// of one token. `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a
/// `ppo_clip_result`. Throws option_error at construction; argument_error when lengths differ or the loss is not finite
/// (host arrays).
///
///     coho::ppo_clip_loss loss{{.clip_low = 0.2, .clip_high = 0.28}};
///     auto result = loss.value_and_grad(
///         {.log_probs = log_probs, .old_log_probs = old, .advantages = advantages, .weights = weights});
///     pullback({.log_probs = coho::as_span(result.d_log_probs)});
class ppo_clip_loss {
 public:
  explicit ppo_clip_loss(const ppo_clip_options& options = {}) : options_(options) { validate(options); }
  const ppo_clip_options& options() const noexcept { return options_; }

  /// One token, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 1, 2> element(const T& log_prob, const T& old_log_prob, const T& advantage) const {
    using std::exp;
    const T difference = log_prob - old_log_prob, log_ratio = detail::limited_log_ratio(difference);
    const T ratio = exp(log_ratio);
    const T free = -advantage * ratio;
    // −A·clip(ρ) where the clip matters, at the bound that limits the gain; without a branch to mispredict.
    const T clipped = coho::min(T(-advantage * (1 - options_.clip_low)), T(-advantage * (1 + options_.clip_high)));
    T loss = coho::max(free, clipped);
    if (options_.dual_clip != 0) {
      loss = coho::where(advantage < 0, coho::min(loss, T(-advantage * options_.dual_clip)), loss);
    }
    element_terms<T, 1, 2> out;
    out.value = loss;
    if constexpr (Gradient) {
      const T zero = 0.0 * ratio, kept = coho::where(loss == free, T(zero + 1.0), zero);
      out.slopes = {T(kept * coho::where(log_ratio == difference, free, zero))};  // dρ/d(log π) = ρ
      out.measures = {T(1.0 - kept), detail::token_divergence(ratio, log_ratio)};
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
    return ppo_clip_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{
        result.value, std::move(d_log_probs), result.measures[0], result.measures[1], result.count};
  }

 private:
  static constexpr elementwise_loss<1, 3> frame{"ppo_clip_loss", {"log_probs", "old_log_probs", "advantages"}};

  ppo_clip_options options_;
};

}  // namespace coho::inline v0_1
