#pragma once

#include <algorithm>
#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/token_loss.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace coho {

struct ppo_clip_options {
  double clip_low = 0.2;   ///< ratios below 1 − clip_low gain nothing; in (0, 1)
  double clip_high = 0.2;  ///< ratios above 1 + clip_high gain nothing; > 0
  double dual_clip = 0;  ///< c: the loss of a negative advantage is at most −c·A (Ye et al. 2020); > 1, or 0 for off

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
  Value clip_fraction;  ///< share of tokens whose gradient the clip removes
  Value approximate_kl;  ///< mean over tokens of ρ − 1 − log ρ, an estimate of KL(old ‖ new) that is never negative
  Value tokens;          ///< tokens of nonzero weight: to combine the two shares over parts of a batch
};

/// The clipped policy loss of PPO (Schulman et al. 2017, eq. 7), summed over tokens with weights w:
///
///     L = Σ_t w_t · max(−A_t·ρ_t, −A_t·clip(ρ_t, 1 − clip_low, 1 + clip_high)),   ρ_t = exp(log π(y_t) − log
///     π_old(y_t))
///
/// Different bounds are DAPO's clip-higher. log ρ is limited to ±20, so that a run that diverges shows huge numbers
/// rather than infinities; beyond, the gradient is 0. `log_probs`, `old_log_probs` (nats) and `advantages`: one a
/// token; arrays, ranges or tensors. Without weights the loss is the mean. Single numbers give the term of one token.
/// `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a `ppo_clip_result`.
/// Throws option_error at construction; argument_error when lengths differ or the loss is not finite (host arrays).
///
///     coho::ppo_clip_loss loss{{.clip_low = 0.2, .clip_high = 0.28}};
///     auto result = loss.value_and_grad(log_probs, old_log_probs, advantages, weights);
///     pullback({.log_probs = coho::as_span(result.d_log_probs)});
class ppo_clip_loss {
 public:
  explicit ppo_clip_loss(const ppo_clip_options& options = {}) : options_(options) { validate(options); }
  const ppo_clip_options& options() const noexcept { return options_; }

  template <class LogProbs, class Old, class Advantages>
  auto operator()(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages) const {
    static_assert(detail::array_check<LogProbs, Old, Advantages>::passed);
    if constexpr (detail::floating_scalar<LogProbs>) {
      return term<std::common_type_t<LogProbs, Old, Advantages>>(log_probs, old_log_probs, advantages);
    } else if constexpr (detail::device_array<LogProbs>) {
      detail::check_same_shape(log_probs, old_log_probs, "ppo_clip_loss");
      detail::check_same_shape(log_probs, advantages, "ppo_clip_loss");
      return coho::sum(term(log_probs, old_log_probs, advantages)) / std::max<std::int64_t>(log_probs.numel(), 1);
    } else {
      return run<false>(log_probs, old_log_probs, advantages, nullptr).value;
    }
  }
  template <class LogProbs, class Old, class Advantages, class Weights>
  auto operator()(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
                  const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<LogProbs, Old, Advantages, Weights>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      return coho::sum(weights.values * term(detail::without_masked(log_probs, weights),
                                             detail::without_masked(old_log_probs, weights),
                                             detail::without_masked(advantages, weights)));
    } else {
      return run<false>(log_probs, old_log_probs, advantages, &weights).value;
    }
  }

  template <class LogProbs, class Old, class Advantages>
  auto value_and_grad(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages) const {
    static_assert(detail::array_check<LogProbs, Old, Advantages>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      return on_device(
          log_probs, old_log_probs, advantages,
          token_weights<LogProbs>{log_probs.new_full(
              log_probs.sizes(), 1.0 / static_cast<double>(std::max<std::int64_t>(log_probs.numel(), 1)))});
    } else {
      return run<true>(log_probs, old_log_probs, advantages, nullptr);
    }
  }
  template <class LogProbs, class Old, class Advantages, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
                      const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<LogProbs, Old, Advantages, Weights>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      return on_device(log_probs, old_log_probs, advantages, weights);
    } else {
      return run<true>(log_probs, old_log_probs, advantages, &weights);
    }
  }

 private:
  static constexpr double log_ratio_limit = 20;

  // The loss of each token, in the arithmetic of T.
  template <class T>
  T term(const T& log_prob, const T& old_log_prob, const T& advantage) const {
    using std::exp;
    const T ratio = exp(coho::clamp(T(log_prob - old_log_prob), -log_ratio_limit, log_ratio_limit));
    const T free = -advantage * ratio;
    const T clipped = -advantage * coho::clamp(ratio, 1 - options_.clip_low, 1 + options_.clip_high);
    T loss = coho::max(free, clipped);
    if (options_.dual_clip == 0) return loss;
    return coho::where(advantage < 0, coho::min(loss, T(-advantage * options_.dual_clip)), loss);
  }

  template <class T>
  auto on_device(const T& log_probs, const T& old_log_probs, const T& advantages,
                 const token_weights<T>& weights) const {
    using std::exp;
    const T difference = coho::detach(detail::without_masked(log_probs, weights)) -
                         detail::without_masked(coho::detach(old_log_probs), weights);
    const T advantage = detail::without_masked(coho::detach(advantages), weights);
    const T limited = coho::clamp(difference, -log_ratio_limit, log_ratio_limit);
    const T ratio = exp(limited);
    const T free = -advantage * ratio;
    const T clipped = -advantage * coho::clamp(ratio, 1 - options_.clip_low, 1 + options_.clip_high);
    T loss = coho::max(free, clipped);
    T flat = free < clipped;
    if (options_.dual_clip != 0) {
      const T cap = -advantage * options_.dual_clip;
      const T capped = (advantage < 0).logical_and(cap < loss);
      loss = coho::where(capped, cap, loss);
      flat = flat.logical_or(capped);
    }
    // ρ − 1 − log ρ by its series, where rounding would eat the difference.
    const T near_zero =
        limited * limited *
        (0.5 + limited * (1.0 / 6 + limited * (1.0 / 24 + limited * (1.0 / 120 + limited * (1.0 / 720)))));
    const T real = weights.values != 0;
    const T tokens = coho::sum(coho::where(real, ratio.new_ones(ratio.sizes()), 0.0));
    const T divisor = coho::max(tokens, 1.0);
    const T slope = coho::where(flat.logical_or(limited != difference), ratio.new_zeros(ratio.sizes()), free);
    return ppo_clip_result<detail::value_of<T>, T>{
        coho::sum(weights.values * loss), weights.values * slope,
        coho::sum(coho::where(flat.logical_and(real), ratio.new_ones(ratio.sizes()), 0.0)) / divisor,
        coho::sum(coho::where(abs(limited) < 0.01, near_zero, ratio - 1 - limited)) / divisor, tokens};
  }

  template <bool Gradient, class LogProbs, class Old, class Advantages, class Weights>
  auto run(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages, Weights weights) const {
    static_assert(detail::host_array<LogProbs> && detail::host_array<Old> && detail::host_array<Advantages>,
                  "coho::ppo_clip_loss: tensors and arrays of the host cannot be mixed");
    using number = std::common_type_t<detail::host_number_t<LogProbs>, detail::host_number_t<Old>,
                                      detail::host_number_t<Advantages>>;
    const auto log_prob = detail::host_elements(log_probs);
    const auto old_log_prob = detail::host_elements(old_log_probs);
    const auto advantage = detail::host_elements(advantages);
    if constexpr (std::is_null_pointer_v<Weights>) {
      return fused<Gradient, number, detail::host_number_t<LogProbs>>(log_prob, old_log_prob, advantage,
                                                                      detail::mean_weights(log_prob.size()));
    } else {
      return fused<Gradient, number, detail::host_number_t<LogProbs>>(log_prob, old_log_prob, advantage,
                                                                      detail::host_elements(weights->values));
    }
  }

  template <bool Gradient, class Number, class Result, class LogProbs, class Old, class Advantages, class Weights>
  auto fused(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
             const Weights& weights) const {
    const std::size_t size = log_probs.size();
    detail::check_lengths(size, old_log_probs.size(), "ppo_clip_loss", "old_log_probs");
    detail::check_lengths(size, advantages.size(), "ppo_clip_loss", "advantages");
    detail::check_lengths(size, weights.size(), "ppo_clip_loss", "weights");
    const Number limit = static_cast<Number>(log_ratio_limit);
    const Number low = static_cast<Number>(1 - options_.clip_low), high = static_cast<Number>(1 + options_.clip_high);
    const Number cap_factor = static_cast<Number>(options_.dual_clip);

    ppo_clip_result<double, detail::array_of<Result>> result{};
    if constexpr (Gradient) result.d_log_probs.resize(static_cast<Eigen::Index>(size));
    constexpr std::size_t block = detail::token_block;
    detail::block<Number> log_ratio, loss_scale, ratio, bounded, free, terms, held;
    detail::block<double> weight_scratch;
    double divergence = 0, real = 0, flat = 0;
    for (std::size_t begin = 0; begin < size; begin += block) {
      const std::size_t count = std::min(size - begin, block);
      const double* const weight = weight_scratch.view(weights, begin, count);
      const double counted = detail::count_nonzero(weight);
      if (counted == 0) {  // padding
        if constexpr (Gradient) std::fill_n(result.d_log_probs.data() + begin, count, Result(0));
        continue;
      }
      // Blocks that are written later hold the few arguments that need converting.
      const Number* const policy = ratio.view(log_probs, begin, count);
      const Number* const old = bounded.view(old_log_probs, begin, count);
      const Number* const advantage = free.view(advantages, begin, count);
      for (std::size_t k = 0; k < block; ++k) log_ratio[k] = policy[k] - old[k];
      for (std::size_t k = 0; k < block; ++k) loss_scale[k] = -advantage[k];
      detail::clear_masked(weight, counted, log_ratio.data);
      detail::clear_masked(weight, counted, loss_scale.data);
      for (std::size_t k = 0; k < block; ++k) ratio[k] = detail::limit(log_ratio[k], -limit, limit);
      if constexpr (Gradient) {
        ratio.exp(held.data);
        divergence += held.sum();
      } else {
        ratio.exp();
      }
      // The difference is 0, or NaN for an infinite ratio, which the limit would hide.
      for (std::size_t k = 0; k < block; ++k) ratio[k] += log_ratio[k] - log_ratio[k];
      for (std::size_t k = 0; k < block; ++k) bounded[k] = detail::limit(ratio[k], low, high);
      for (std::size_t k = 0; k < block; ++k) free[k] = loss_scale[k] * ratio[k];
      for (std::size_t k = 0; k < block; ++k) bounded[k] *= loss_scale[k];
      for (std::size_t k = 0; k < block; ++k) terms[k] = bounded[k] > free[k] ? bounded[k] : free[k];
      if (options_.dual_clip != 0) {
        for (std::size_t k = 0; k < block; ++k) {
          const Number cap = loss_scale[k] * cap_factor;
          const bool negative = loss_scale[k] > 0, above = cap < terms[k];  // the advantage; & has no branch
          terms[k] = (negative & above) ? cap : terms[k];
        }
      }
      result.value += detail::dot(weight, terms.data);
      if constexpr (Gradient) {
        real += counted;
        // Where no clip acts, the loss is the unclipped product itself.
        for (std::size_t k = 0; k < block; ++k) held[k] = terms[k] == free[k] ? Number(1) : Number(0);
        flat += static_cast<double>(block) - held.sum();
        for (std::size_t k = 0; k < block; ++k) held[k] = detail::keep_if(std::abs(log_ratio[k]) <= limit, held[k]);
        for (std::size_t k = 0; k < block; ++k) free[k] *= held[k];
        detail::store_product(weight, free.data, result.d_log_probs.data() + begin, count);
      }
    }
    detail::require_finite(result.value, "ppo_clip_loss");
    if constexpr (Gradient) {
      result.tokens = real;
      const double divisor = real > 0 ? real : 1;
      result.clip_fraction = flat / divisor;
      result.approximate_kl = divergence / divisor;
    }
    return result;
  }

  ppo_clip_options options_;
};

}  // namespace coho
