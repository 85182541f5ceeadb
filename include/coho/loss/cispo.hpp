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

struct cispo_options {
  double clip_high = 0.28;  ///< the weight of a token is at most 1 + clip_high; > 0, infinity for off
  double clip_low = 1;      ///< … and at least 1 − clip_low; in (0, 1], where 1 is off as in the paper

  static void describe(auto&& visit, auto&... o) {
    visit({"clip_high", "the weight of a token is at most 1 + clip_high", allowed::above(0).or_infinity()},
          o.clip_high...);
    visit({"clip_low", "the weight of a token is at least 1 − clip_low; 1: off", allowed::in_up_to(0, 1)},
          o.clip_low...);
  }
};

template <class Value, class Array>
struct cispo_result {
  Value value;          ///< the loss; only its gradient is meaningful, not its size
  Array d_log_probs;    ///< its gradient; 0 where the weight is 0
  Value clip_fraction;  ///< fraction of tokens whose ratio a bound replaces (they keep a gradient)
  Value approximate_kl;  ///< mean over tokens of ρ − 1 − log ρ, an estimate of KL(old ‖ new) that is never negative
  Value tokens;          ///< tokens of nonzero weight: for combining the two means over parts of a batch
};

/// Clipped importance-sampling policy optimisation (MiniMax-M1 2025, eqs. 4 and 5): REINFORCE with a limited importance
/// weight, so that, unlike in PPO, no token loses its gradient:
///
///     L = −Σ_t w_t · c_t · A_t · log π(y_t),   c_t = clip(ρ_t, 1 − clip_low, 1 + clip_high) held constant,
///     ρ_t = exp(log π(y_t) − log π_old(y_t))
///
/// log ρ is limited to ±20. Uses `log_probs`, `old_log_probs`, `advantages` and `weights` of `policy_loss_inputs`:
/// arrays, ranges or tensors. Without weights the loss is the mean. Three numbers give the term of one token.
/// `operator()` returns double, or a 0-d tensor that is differentiable (c_t is detached in it; central differences of
/// the value would see c_t move, the gradient does not); `value_and_grad` a `cispo_result`. Throws option_error at
/// construction; argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::cispo_loss loss{{.clip_high = 0.28}};
///     auto result = loss.value_and_grad(
///         {.log_probs = log_probs, .old_log_probs = old, .advantages = advantages, .weights = weights});
///     // result.value, result.d_log_probs
class cispo_loss {
 public:
  explicit cispo_loss(const cispo_options& options = {}) : options_(options) { validate(options); }
  const cispo_options& options() const noexcept { return options_; }

  /// One token, or all of them as a tensor; as `elementwise_loss` requires.
  template <bool Gradient, class T>
  element_terms<T, 1, 2> element(const T& log_prob, const T& old_log_prob, const T& advantage) const {
    using std::exp;
    const T log_ratio = detail::limited_log_ratio(T(coho::detach(log_prob) - old_log_prob));
    const T ratio = exp(log_ratio);
    const T weight = coho::clamp(ratio, 1 - options_.clip_low, 1 + options_.clip_high);
    const T slope = -advantage * weight;
    element_terms<T, 1, 2> out;
    out.value = slope * log_prob;
    if constexpr (Gradient) {
      const T zero = 0.0 * ratio;
      out.slopes = {slope};
      out.measures = {T(coho::where(weight != ratio, T(zero + 1.0), zero)), detail::token_divergence(ratio, log_ratio)};
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
    return cispo_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{
        result.value, std::move(d_log_probs), result.measures[0], result.measures[1], result.count};
  }

 private:
  static constexpr elementwise_loss<1, 3> frame{"cispo_loss", {"log_probs", "old_log_probs", "advantages"}};

  cispo_options options_;
};

}  // namespace coho::inline v0_1
