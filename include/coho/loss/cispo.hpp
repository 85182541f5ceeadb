#pragma once

#include <cmath>
#include <coho/error.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace coho {

struct cispo_options {
  double clip_high = 0.28;  ///< the weight of a token is at most 1 + clip_high; > 0, infinity for off
  double clip_low = 1;      ///< … and at least 1 − clip_low; in (0, 1], where 1 is off as in the paper
};

template <class Value, class Array>
struct cispo_result {
  Value value;           ///< the loss; its gradient is what has a meaning, its size has none
  Array d_log_probs;     ///< its gradient; 0 where the weight is 0
  Value clip_fraction;   ///< share of tokens whose ratio a bound replaces (they keep a gradient)
  Value approximate_kl;  ///< mean over tokens of ρ − 1 − log ρ, an estimate of KL(old ‖ new) that is never negative
  Value tokens;          ///< tokens of nonzero weight: to combine the two shares over parts of a batch
};

/// Clipped importance-sampling policy optimisation (MiniMax-M1 2025, eqs. 4 and 5): REINFORCE with a limited importance
/// weight, so that, unlike in PPO, no token loses its gradient:
///
///     L = −Σ_t w_t · c_t · A_t · log π(y_t),   c_t = clip(ρ_t, 1 − clip_low, 1 + clip_high) held constant,
///     ρ_t = exp(log π(y_t) − log π_old(y_t))
///
/// log ρ is limited to ±20. `log_probs`, `old_log_probs` (nats) and `advantages`: one a token; arrays, ranges or
/// tensors. Without weights the loss is the mean. Single numbers give the term of one token. `operator()` returns
/// double, or a 0-d tensor that is differentiable (c_t is detached in it; central differences of the value would see
/// c_t move, the gradient does not); `value_and_grad` a `cispo_result`. Throws option_error at construction;
/// argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::cispo_loss loss{{.clip_high = 0.28}};
///     auto result = loss.value_and_grad(log_probs, old_log_probs, advantages, weights);
///     // result.value, result.d_log_probs
class cispo_loss {
 public:
  explicit cispo_loss(const cispo_options& options = {}) : options_(options) {
    require_option(options.clip_high > 0, "clip_high", options.clip_high, "greater than 0 (infinity for off)");
    require_option(options.clip_low > 0 && options.clip_low <= 1, "clip_low", options.clip_low,
                   "in (0, 1] (1 for off)");
  }
  const cispo_options& options() const noexcept { return options_; }

  template <class LogProbs, class Old, class Advantages>
  auto operator()(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages) const {
    return frame.value(*this, log_probs, old_log_probs, advantages);
  }
  template <class LogProbs, class Old, class Advantages, class Weights>
  auto operator()(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
                  const token_weights<Weights>& weights) const {
    return frame.weighted_value(*this, weights, log_probs, old_log_probs, advantages);
  }

  template <class LogProbs, class Old, class Advantages>
  auto value_and_grad(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages) const {
    return named(frame.value_and_grad(*this, log_probs, old_log_probs, advantages));
  }
  template <class LogProbs, class Old, class Advantages, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
                      const token_weights<Weights>& weights) const {
    return named(frame.weighted_value_and_grad(*this, weights, log_probs, old_log_probs, advantages));
  }

 private:
  template <std::size_t, std::size_t>
  friend class detail::elementwise;
  static constexpr detail::elementwise<1, 3> frame{"cispo_loss", {"log_probs", "old_log_probs", "advantages"}};
  static constexpr double log_ratio_limit = 20;

  template <bool Gradient, class T>
  detail::element_terms<T, 1, 2> element(const T& log_prob, const T& old_log_prob, const T& advantage) const {
    using std::exp;
    const T difference = coho::detach(log_prob) - old_log_prob;
    const T log_ratio = coho::clamp(difference, -log_ratio_limit, log_ratio_limit);
    const T ratio = exp(log_ratio);
    const T weight = coho::clamp(ratio, 1 - options_.clip_low, 1 + options_.clip_high);
    const T slope = -advantage * weight;
    detail::element_terms<T, 1, 2> out;
    out.value = slope * log_prob;
    // 0, or NaN for an infinite ratio, which the limit would hide.
    if constexpr (detail::floating_scalar<T>) out.value += difference - difference;
    if constexpr (Gradient) {
      out.slopes = {slope};
      const T zero = 0.0 * ratio;
      T divergence{};
      if constexpr (detail::floating_scalar<T>) {
        divergence = detail::divergence_of(log_ratio, ratio);
      } else {
        divergence = coho::max(detail::kl_of(T(-log_ratio), kl_estimator::k3), 0.0);
      }
      out.measures = {T(coho::where(weight != ratio, T(zero + 1.0), zero)), divergence};
    }
    return out;
  }

  template <class Result>
  static auto named(Result result) {
    auto& d_log_probs = result.gradients[0];
    return cispo_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{
        result.value, std::move(d_log_probs), result.measures[0], result.measures[1], result.count};
  }

  cispo_options options_;
};

}  // namespace coho
