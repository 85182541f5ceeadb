#pragma once

#include <algorithm>
#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/kl/estimators.hpp>
#include <coho/loss/token_loss.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <span>

namespace coho {

struct gspo_options {
  double clip_low = 3e-4;   ///< sequence ratios below 1 − clip_low gain nothing; in (0, 1)
  double clip_high = 4e-4;  ///< sequence ratios above 1 + clip_high gain nothing; > 0
};

template <class Value, class Array>
struct gspo_result {
  Value value;           ///< the loss
  Array d_log_probs;     ///< its gradient; 0 where the weight is 0
  Value clip_fraction;   ///< share of tokens whose term is clipped (of whole sequences, usually)
  Value approximate_kl;  ///< mean over tokens of ρ − 1 − log ρ, ρ the token's own ratio, as in `ppo_clip_loss`
  Value tokens;          ///< tokens of nonzero weight: to combine the two shares over parts of a batch
};

/// Group sequence policy optimisation (Zheng et al. 2025, §4.1): PPO's clip with one ratio for a whole sequence, the
/// geometric mean of its tokens' ratios, over the n_i tokens of nonzero weight:
///
///     s_i = exp( Σ_{t∈i} (log π(y_t) − log π_old(y_t)) / n_i )
///     L = Σ_i Σ_{t∈i} w_t · max(−A_t·s_i, −A_t·clip(s_i, 1 − clip_low, 1 + clip_high))
///
/// The paper's objective has one advantage a sequence (`sequence_spread` repeats it for the tokens) and weights of
/// reduction::sequence_mean_of_means; neither is needed. The ratio of a mean is far closer to 1 than a token's: its
/// bounds are too. log s is limited to ±20; beyond, the gradient is 0. `log_probs`, `old_log_probs` (nats),
/// `advantages` and `weights`: one a token; arrays, ranges or tensors; `offsets`: one more than there are sequences.
/// `operator()` returns double, or a 0-d tensor that is differentiable; `value_and_grad` a `gspo_result`. Throws
/// option_error at construction; argument_error when lengths or offsets do not fit or the loss is not finite (host
/// arrays).
///
///     auto weights = coho::make_token_weights(mask, offsets, {.kind = coho::reduction::sequence_mean_of_means});
///     auto result = coho::gspo_loss{}.value_and_grad(log_probs, old_log_probs, advantages, weights, offsets);
///     // result.value, result.d_log_probs
class gspo_loss {
 public:
  explicit gspo_loss(const gspo_options& options = {}) : options_(options) {
    require_option(options.clip_low > 0 && options.clip_low < 1, "clip_low", options.clip_low, "in (0, 1)");
    require_option(options.clip_high > 0, "clip_high", options.clip_high, "greater than 0");
  }
  const gspo_options& options() const noexcept { return options_; }

  template <class LogProbs, class Old, class Advantages, class Weights>
  auto operator()(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
                  const token_weights<Weights>& weights, std::span<const std::size_t> offsets) const {
    static_assert(detail::array_check<LogProbs, Old, Advantages, Weights>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      return on_device<false>(log_probs, old_log_probs, advantages, weights, offsets);
    } else {
      return on_host<false>(log_probs, old_log_probs, advantages, weights, offsets).value;
    }
  }

  template <class LogProbs, class Old, class Advantages, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
                      const token_weights<Weights>& weights, std::span<const std::size_t> offsets) const {
    static_assert(detail::array_check<LogProbs, Old, Advantages, Weights>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      return on_device<true>(LogProbs(coho::detach(log_probs)), old_log_probs, advantages, weights, offsets);
    } else {
      return on_host<true>(log_probs, old_log_probs, advantages, weights, offsets);
    }
  }

 private:
  static constexpr double log_ratio_limit = 20;

  template <class T>
  static T divergence(const T& log_ratio) {
    const T limited = coho::clamp(T(-log_ratio), -log_ratio_limit, log_ratio_limit);
    return coho::max(detail::kl_of(limited, kl_estimator::k3), 0.0);
  }

  // A series near 0, where rounding would eat the difference.
  static double divergence(double log_ratio) {
    const double l = coho::clamp(log_ratio, -log_ratio_limit, log_ratio_limit);
    const double series = l * l * (0.5 + l * (1.0 / 6 + l * (1.0 / 24 + l * (1.0 / 120 + l * (1.0 / 720)))));
    return std::abs(l) < 0.01 ? series : std::exp(l) - 1 - l;
  }

  template <bool Gradient, class LogProbs, class Old, class Advantages, class Weights>
  auto on_host(const LogProbs& log_probs, const Old& old_log_probs, const Advantages& advantages,
               const token_weights<Weights>& weights, std::span<const std::size_t> offsets) const {
    static_assert(detail::host_array<LogProbs> && detail::host_array<Old> && detail::host_array<Advantages> &&
                      detail::host_array<Weights>,
                  "coho::gspo_loss: tensors and arrays of the host cannot be mixed");
    using number = detail::host_number_t<LogProbs>;
    const auto log_prob = detail::host_elements(log_probs);
    const auto old = detail::host_elements(old_log_probs);
    const auto advantage = detail::host_elements(advantages);
    const auto weight = detail::host_elements(weights.values);
    detail::check_lengths(log_prob.size(), old.size(), "gspo_loss", "old_log_probs");
    detail::check_lengths(log_prob.size(), advantage.size(), "gspo_loss", "advantages");
    detail::check_lengths(log_prob.size(), weight.size(), "gspo_loss", "weights");
    detail::check_offsets(offsets, log_prob.size(), "gspo_loss");

    gspo_result<double, detail::array_of<number>> result{};
    if constexpr (Gradient) result.d_log_probs.resize(static_cast<Eigen::Index>(log_prob.size()));
    number* const gradient = result.d_log_probs.data();
    const double low = 1 - options_.clip_low, high = 1 + options_.clip_high;
    double value = 0, tokens = 0, flat = 0, kl = 0;
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      const std::size_t begin = offsets[i], end = offsets[i + 1];
      double total = 0, length = 0;
      for (std::size_t t = begin; t < end; ++t) {
        if (weight[t] == 0) continue;
        const double log_ratio = static_cast<double>(log_prob[t]) - static_cast<double>(old[t]);
        total += log_ratio;
        length += 1;
        if constexpr (Gradient) kl += divergence(log_ratio);
      }
      const double mean = total / std::max(length, 1.0);
      const double limited = coho::clamp(mean, -log_ratio_limit, log_ratio_limit);
      const double ratio = std::exp(limited), bounded = coho::clamp(ratio, low, high);
      value += total - total;  // 0, or NaN for an infinite ratio, which the limit would hide
      double slope = 0;        // with respect to log s_i
      for (std::size_t t = begin; t < end; ++t) {
        if (weight[t] == 0) continue;
        const double w = static_cast<double>(weight[t]), a = static_cast<double>(advantage[t]);
        const double free = -a * ratio, clipped = -a * bounded;
        const bool held = clipped > free;
        value += w * (held ? clipped : free);  // NaN is in both
        slope += detail::keep_if(!held, w * free);
        flat += held ? 1.0 : 0.0;
      }
      tokens += length;
      if constexpr (Gradient) {
        const number share = limited == mean ? static_cast<number>(slope / std::max(length, 1.0)) : number(0);
        for (std::size_t t = begin; t < end; ++t) gradient[t] = detail::keep_if(weight[t] != 0, share);
      }
    }
    result.value = value;
    result.tokens = tokens;
    detail::require_finite(result.value, "gspo_loss");
    result.clip_fraction = flat / std::max(result.tokens, 1.0);
    result.approximate_kl = kl / std::max(result.tokens, 1.0);
    return result;
  }

  // The value, differentiable with respect to log_probs; or the whole result.
  template <bool Gradient, class T>
  auto on_device(const T& log_probs, const T& old_log_probs, const T& advantages, const token_weights<T>& weights,
                 std::span<const std::size_t> offsets) const {
    using std::exp;
    const T real = (weights.values != 0).to(weights.values.scalar_type()), zero = 0.0 * real;
    const T log_ratio =
        detail::without_masked(log_probs, weights) - detail::without_masked(T(coho::detach(old_log_probs)), weights);
    const T advantage = detail::without_masked(T(coho::detach(advantages)), weights);
    const T length = coho::max(coho::sequence_sums(real, offsets), 1.0);
    const T mean = coho::sequence_sums(log_ratio, offsets) / length;
    const T limited = coho::clamp(mean, -log_ratio_limit, log_ratio_limit);
    const T ratio = coho::sequence_spread(T(exp(limited)), offsets);
    const T free = -advantage * ratio;
    const T clipped = -advantage * coho::clamp(ratio, 1 - options_.clip_low, 1 + options_.clip_high);
    const T value = coho::sum(weights.values * coho::max(free, clipped));
    if constexpr (!Gradient) {
      return value;
    } else {
      const T flat = clipped > free;
      const T slopes = weights.values * coho::where(flat, zero, free);
      const T held = coho::where(limited == mean, T(coho::sequence_sums(slopes, offsets) / length), 0.0);
      const T tokens = coho::sum(real), divisor = coho::max(tokens, 1.0);
      return gspo_result<detail::value_of<T>, T>{value, real * coho::sequence_spread(held, offsets),
                                                 coho::sum(coho::where(flat, real, zero)) / divisor,
                                                 coho::sum(real * divergence(log_ratio)) / divisor, tokens};
    }
  }

  gspo_options options_;
};

}  // namespace coho
