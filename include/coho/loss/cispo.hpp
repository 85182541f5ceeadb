#pragma once

#include <algorithm>
#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/loss/token_loss.hpp>
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
  Value value;          ///< the loss; its gradient is what has a meaning, its size has none
  Array d_log_probs;    ///< its gradient; 0 where the weight is 0
  Value clip_fraction;  ///< share of tokens whose ratio a bound replaces (they keep a gradient)
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
    if constexpr (detail::host_array<LogProbs>) {
      const detail::mean_weights equal(detail::host_elements(log_probs).size());
      return fused<false>(log_probs, old_log_probs, advantages, equal).value;
    } else {
      return frame.value(*this, log_probs, old_log_probs, advantages);
    }
  }
  template <class LogProbs, class Old, class Advantages, class Weights>
  auto operator()(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
                  const token_weights<Weights>& weights) const {
    if constexpr (detail::host_array<LogProbs>) {
      return fused<false>(log_probs, old_log_probs, advantages, host_weights(log_probs, weights)).value;
    } else {
      return frame.weighted_value(*this, weights, log_probs, old_log_probs, advantages);
    }
  }

  template <class LogProbs, class Old, class Advantages>
  auto value_and_grad(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages) const {
    if constexpr (detail::host_array<LogProbs>) {
      const detail::mean_weights equal(detail::host_elements(log_probs).size());
      return fused<true>(log_probs, old_log_probs, advantages, equal);
    } else {
      return named(frame.value_and_grad(*this, log_probs, old_log_probs, advantages));
    }
  }
  template <class LogProbs, class Old, class Advantages, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
                      const token_weights<Weights>& weights) const {
    if constexpr (detail::host_array<LogProbs>) {
      return fused<true>(log_probs, old_log_probs, advantages, host_weights(log_probs, weights));
    } else {
      return named(frame.weighted_value_and_grad(*this, weights, log_probs, old_log_probs, advantages));
    }
  }

 private:
  template <std::size_t, std::size_t>
  friend class detail::elementwise;
  static constexpr detail::elementwise<1, 3> frame{"cispo_loss", {"log_probs", "old_log_probs", "advantages"}};
  static constexpr double log_ratio_limit = 20;

  // Of a number, or of all elements as a tensor.
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
    if constexpr (Gradient) {
      out.slopes = {slope};
      const T zero = 0.0 * ratio;
      out.measures = {T(coho::where(weight != ratio, T(zero + 1.0), zero)),
                      T(coho::max(detail::kl_of(T(-log_ratio), kl_estimator::k3), 0.0))};
    }
    return out;
  }

  template <class LogProbs, class Weights>
  static auto host_weights(const LogProbs& log_probs, const token_weights<Weights>& weights) {
    return detail::input_elements(weights.values, detail::host_elements(log_probs).size(), "cispo_loss", "weights");
  }

  // Of host arrays, in blocks, so that the loops vectorise.
  template <bool Gradient, class LogProbs, class Old, class Advantages, class Weights>
  auto fused(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
             const Weights& weights) const {
    static_assert(detail::array_check<LogProbs, Old, Advantages>::passed);
    using number = detail::host_number_t<LogProbs>;
    const auto log_prob = detail::host_elements(log_probs);
    const std::size_t size = log_prob.size();
    const auto old = detail::input_elements(old_log_probs, size, "cispo_loss", "old_log_probs");
    const auto advantage = detail::input_elements(advantages, size, "cispo_loss", "advantages");
    const double low = 1 - options_.clip_low, high = 1 + options_.clip_high;

    cispo_result<double, detail::array_of<number>> result{};
    if constexpr (Gradient) result.d_log_probs.resize(static_cast<Eigen::Index>(size));
    constexpr std::size_t block = detail::token_block;
    detail::block<double> difference, ratio, kl, bounded, slope, terms, weight_scratch;
    double value = 0, divergence = 0, real = 0, clips = 0;
    for (std::size_t begin = 0; begin < size; begin += block) {
      const std::size_t count = std::min(size - begin, block);
      const double* const weight = weight_scratch.view(weights, begin, count);
      const double counted = detail::count_nonzero(weight);
      if (counted == 0) {  // padding
        if constexpr (Gradient) std::fill_n(result.d_log_probs.data() + begin, count, number(0));
        continue;
      }
      // Blocks that are written later hold the arguments that need converting.
      const double* const p = bounded.view(log_prob, begin, count);
      const double* const q = ratio.view(old, begin, count);
      const double* const a = kl.view(advantage, begin, count);
      for (std::size_t k = 0; k < block; ++k) difference[k] = p[k] - q[k];
      for (std::size_t k = 0; k < block; ++k) slope[k] = -a[k];
      for (std::size_t k = 0; k < block; ++k) terms[k] = p[k];
      for (double* x : {difference.data, slope.data, terms.data}) detail::clear_masked(weight, counted, x);
      for (std::size_t k = 0; k < block; ++k)
        ratio[k] = detail::limit(difference[k], -log_ratio_limit, log_ratio_limit);
      ratio.exp(kl.data);
      for (std::size_t k = 0; k < block; ++k) bounded[k] = detail::limit(ratio[k], low, high);
      for (std::size_t k = 0; k < block; ++k) slope[k] *= bounded[k];
      // The difference is 0, or NaN for an infinite ratio, which the limit would hide.
      for (std::size_t k = 0; k < block; ++k) terms[k] = slope[k] * terms[k] + (difference[k] - difference[k]);
      value += detail::dot(weight, terms.data);
      if constexpr (Gradient) {
        real += counted;
        detail::store_product(weight, slope.data, result.d_log_probs.data() + begin, count);
        for (std::size_t k = 0; k < block; ++k) terms[k] = bounded[k] != ratio[k] ? 1.0 : 0.0;
        clips += terms.sum();
        divergence += kl.sum();
      }
    }
    detail::require_finite(value, "cispo_loss");
    result.value = value;
    result.tokens = real;
    result.clip_fraction = clips / std::max(real, 1.0);
    result.approximate_kl = divergence / std::max(real, 1.0);
    return result;
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
