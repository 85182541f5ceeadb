#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/detail/log_ratio.hpp>
#include <coho/loss/detail/results.hpp>
#include <coho/loss/inputs/policy_loss_inputs.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

struct gspo_options {
  double clip_low = 3e-4;   ///< sequence ratios below 1 − clip_low gain nothing; in (0, 1)
  double clip_high = 4e-4;  ///< sequence ratios above 1 + clip_high gain nothing; > 0

  static void describe(auto&& visit, auto&... o) {
    visit({"clip_low", "sequence ratios below 1 − clip_low gain nothing", allowed::in_open(0, 1)}, o.clip_low...);
    visit({"clip_high", "sequence ratios above 1 + clip_high gain nothing", allowed::above(0).or_infinity()},
          o.clip_high...);
  }
};

template <class Value, class Array>
struct gspo_result {
  Value value;           ///< the loss
  Array d_log_probs;     ///< its gradient; 0 where the weight is 0
  Value clip_fraction;   ///< fraction of tokens whose term is clipped (of whole sequences, usually)
  Value approximate_kl;  ///< mean over tokens of ρ − 1 − log ρ, ρ the token's own ratio, as in `ppo_clip_loss`
  Value tokens;          ///< tokens of nonzero weight: for combining the two means over parts of a batch
};

/// Group sequence policy optimisation (Zheng et al. 2025, §4.1): PPO's clip with one ratio per sequence, the
/// geometric mean of its tokens' ratios, over the n_i tokens of nonzero weight:
///
///     s_i = exp( Σ_{t∈i} (log π(y_t) − log π_old(y_t)) / n_i )
///     L = Σ_i Σ_{t∈i} w_t · max(−A_t·s_i, −A_t·clip(s_i, 1 − clip_low, 1 + clip_high))
///
/// The paper's objective has one advantage per sequence (`sequence_spread` repeats it for the tokens) and weights of
/// reduction::sequence_mean_of_means; neither is needed. A mean ratio is far closer to 1 than a token's: its
/// bounds are tighter. log s is limited to ±20; beyond, the gradient is 0. Uses all members of `policy_loss_inputs`:
/// arrays, ranges or tensors; `offsets` has N + 1 entries for N sequences. Without weights the loss is the
/// mean. `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a `gspo_result`. Throws
/// option_error at construction; argument_error when lengths or offsets do not fit or the loss is not finite (host
/// arrays).
///
///     auto weights = coho::make_token_weights(mask, offsets, {.kind = coho::reduction::sequence_mean_of_means});
///     auto result = coho::gspo_loss{}.value_and_grad({.log_probs = log_probs, .old_log_probs = old,
///                                                     .advantages = advantages, .weights = weights,
///                                                     .offsets = offsets});
///     // result.value, result.d_log_probs
class gspo_loss {
 public:
  explicit gspo_loss(const gspo_options& options = {}) : options_(options) { validate(options); }
  const gspo_options& options() const noexcept { return options_; }

  template <class Array = double>
  auto operator()(const policy_loss_inputs<Array>& in) const {
    if constexpr (detail::device_array<Array>) {
      return tensor_result<false>(in, in.log_probs);
    } else {
      return host_result<false>(in).value;
    }
  }
  template <class Array = double>
  auto value_and_grad(const policy_loss_inputs<Array>& in) const {
    if constexpr (detail::device_array<Array>) {
      return tensor_result<true>(in, Array(coho::detach(in.log_probs)));
    } else {
      return host_result<true>(in);
    }
  }

 private:
  template <class T>
  struct terms {
    T value, kept;  ///< kept: 1 where no clip acts, else 0
  };

  // One token, or all of them as a tensor, of its sequence's ratio. See `ppo_clip_loss` for the form of the clip.
  template <class T>
  terms<T> clipped_term(const T& ratio, const T& advantage) const {
    const T free = -advantage * ratio;
    const T clipped = coho::min(T(-advantage * (1 - options_.clip_low)), T(-advantage * (1 + options_.clip_high)));
    const T zero = 0.0 * ratio;
    return {T(coho::max(free, clipped)), T(coho::where(clipped > free, zero, T(zero + 1.0)))};
  }

  // Two loops over each sequence: its mean log-ratio, then the terms of its tokens, which all have that ratio. Without
  // `Gradient`, d_log_probs stays empty and approximate_kl 0.
  template <bool Gradient, class Number>
  auto host_result(const policy_loss_inputs<Number>& in) const {
    const auto& log_probs = in.log_probs;
    const auto size = static_cast<std::size_t>(log_probs.size());
    const auto weights = in.weights.given ? in.weights.values : array_view<double>(detail::equal_weights(size));
    const auto check = [size](const auto& x, const char* what) {
      detail::check_lengths(size, static_cast<std::size_t>(x.size()), "gspo_loss", what);
    };
    check(in.old_log_probs, "old_log_probs");
    check(in.advantages, "advantages");
    check(weights, "weights");
    detail::check_offsets(in.offsets, size, "gspo_loss");
    const double* const weight = weights.data();
    const Number *const p = log_probs.data(), *const old = in.old_log_probs.data(), *const a = in.advantages.data();

    gspo_result<double, detail::array_of<Number>> result{};
    if constexpr (Gradient) result.d_log_probs.resize(log_probs.size());
    Number* const gradient = result.d_log_probs.data();
    double value = 0, tokens = 0, clips = 0, divergence = 0;
    for (std::size_t i = 0; i + 1 < in.offsets.size(); ++i) {
      const std::size_t begin = in.offsets[i], end = in.offsets[i + 1];
      double total = 0, length = 0;
      for (std::size_t t = begin; t < end; ++t) {
        if (weight[t] == 0) continue;
        const double log_ratio = static_cast<double>(p[t]) - static_cast<double>(old[t]);
        total += log_ratio;
        length += 1;
        if constexpr (Gradient) {
          const double limited = detail::limited_log_ratio(log_ratio);
          divergence += detail::token_divergence(std::exp(limited), limited);
        }
      }
      const double mean = total / std::max(length, 1.0), limited = detail::limited_log_ratio(mean);
      const double ratio = std::exp(limited);
      value += total - total;  // 0, or NaN for an infinite ratio
      double slope = 0;        // with respect to log s_i
      for (std::size_t t = begin; t < end; ++t) {
        if (weight[t] == 0) continue;
        const auto term = clipped_term(ratio, static_cast<double>(a[t]));
        value += weight[t] * term.value;
        slope += weight[t] * (term.kept * term.value);
        clips += 1 - term.kept;
      }
      tokens += length;
      if constexpr (Gradient) {
        const auto each = limited == mean ? static_cast<Number>(slope / std::max(length, 1.0)) : Number(0);
        for (std::size_t t = begin; t < end; ++t) gradient[t] = weight[t] != 0 ? each : Number(0);
      }
    }
    detail::require_finite(value, "gspo_loss");
    result.value = value;
    result.tokens = tokens;
    result.clip_fraction = clips / std::max(tokens, 1.0);
    result.approximate_kl = divergence / std::max(tokens, 1.0);
    return result;
  }

  // The value, differentiable with respect to log_probs; or the whole result.
  template <bool Gradient, class T>
  auto tensor_result(const policy_loss_inputs<T>& in, const T& log_probs) const {
    using std::exp;
    const token_weights<T> weights{in.weights.given ? in.weights.values : detail::equal_weights(log_probs)};
    const T real = (weights.values != 0).to(weights.values.scalar_type());
    const T log_ratio =
        detail::without_masked(log_probs, weights) - detail::without_masked(T(coho::detach(in.old_log_probs)), weights);
    const T advantage = detail::without_masked(T(coho::detach(in.advantages)), weights);
    const T length = coho::max(coho::sequence_sums(real, in.offsets), 1.0);
    const T mean = coho::sequence_sums(log_ratio, in.offsets) / length, limited = detail::limited_log_ratio(mean);
    const auto term = clipped_term(T(coho::sequence_spread(T(exp(limited)), in.offsets)), advantage);
    const T value = coho::sum(weights.values * term.value);
    if constexpr (!Gradient) {
      return value;
    } else {
      const T slope = coho::sequence_sums(T(weights.values * (term.kept * term.value)), in.offsets) / length;
      const T each = coho::where(limited == mean, slope, 0.0);
      const T token_ratio = detail::limited_log_ratio(log_ratio);
      const T tokens = coho::sum(real), divisor = coho::max(tokens, 1.0);
      return gspo_result<detail::value_of<T>, T>{
          value, real * coho::sequence_spread(each, in.offsets), coho::sum(real * (1.0 - term.kept)) / divisor,
          coho::sum(real * detail::token_divergence(T(exp(token_ratio)), token_ratio)) / divisor, tokens};
    }
  }

  gspo_options options_;
};

}  // namespace coho::inline v0_1
