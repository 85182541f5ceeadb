#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/detail/blocks.hpp>
#include <coho/loss/detail/results.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// Estimates of KL(π ‖ π_ref) from one sampled token, with d = log π(y) − log π_ref(y) (Schulman 2020, "Approximating
/// KL divergence").
enum class kl_estimator {
  k1,                   ///< d: unbiased, of either sign
  k2,                   ///< d²/2: biased, but its gradient is that of the KL
  k3,                   ///< e^−d − 1 + d: unbiased, never negative
  absolute,             ///< |d|
  k1_clamped,           ///< max(d, 0), which the code of AlpacaFarm and SALMON calls k1
  k3_straight_through,  ///< the value of k3 with the gradient of k2
};
constexpr auto option_names(kl_estimator) {
  return std::array{"k1", "k2", "k3", "absolute", "k1_clamped", "k3_straight_through"};
}

namespace detail {

template <std::floating_point Number>
Number kl_of(Number d, kl_estimator estimator) noexcept {
  using enum kl_estimator;
  if (estimator == k2) return Number(0.5) * d * d;
  if (estimator == k3 || estimator == k3_straight_through) return std::expm1(-d) + d;
  if (estimator == absolute) return std::abs(d);
  if (estimator == k1_clamped) return d < 0 ? Number(0) : d;
  return d;
}

/// The estimates for a block of differences, and their derivatives.
template <kl_estimator Estimator>
void kl_of_block(const double* __restrict d, double* __restrict kl, double* __restrict slope) noexcept {
  using enum kl_estimator;
  constexpr std::size_t n = token_block;
  if constexpr (Estimator != k3 && Estimator != k3_straight_through) {
    for (std::size_t k = 0; k < n; ++k) kl[k] = kl_of(d[k], Estimator);
    for (std::size_t k = 0; k < n; ++k) {
      if constexpr (Estimator == k1) slope[k] = 1;
      if constexpr (Estimator == k2) slope[k] = d[k];
      if constexpr (Estimator == absolute) slope[k] = (d[k] > 0 ? 1.0 : 0.0) - (d[k] < 0 ? 1.0 : 0.0);
      if constexpr (Estimator == k1_clamped) slope[k] = d[k] >= 0 ? 1.0 : 0.0;
    }
  } else {
    for (std::size_t k = 0; k < n; ++k) {
      const double x = -d[k], excess = std::expm1(x);
      // Near 0, where rounding would eat the difference, its series.
      const double near_zero = x * x * (0.5 + x * (1.0 / 6 + x * (1.0 / 24 + x * (1.0 / 120))));
      kl[k] = std::abs(x) < 1e-3 ? near_zero : excess - x;
      slope[k] = -excess;
    }
    if constexpr (Estimator == k3_straight_through) {
      for (std::size_t k = 0; k < n; ++k) slope[k] = d[k];
    }
  }
}

/// The number type of the differences: double, or the type that both arrays share. (The difference of two floats is
/// the same whether rounded from double or computed in float.)
template <class Elements>
using element_of = std::remove_cvref_t<decltype(std::declval<const Elements&>()[0])>;
template <class Number, class P, class R>
using kl_scratch_t =
    std::conditional_t<std::is_same_v<element_of<P>, Number> && std::is_same_v<element_of<R>, Number>, Number, double>;

/// Calls f with the estimator as a compile-time constant, so that loops over tokens do not branch on it.
template <class F>
void with_estimator(kl_estimator estimator, F&& f) {
  const auto try_all = [&]<kl_estimator... All>(std::integer_sequence<kl_estimator, All...>) {
    ((estimator == All ? f(std::integral_constant<kl_estimator, All>{}) : void()), ...);
  };
  using enum kl_estimator;
  try_all(std::integer_sequence<kl_estimator, k1, k2, k3, absolute, k1_clamped, k3_straight_through>{});
}

template <device_array T>
T kl_of(const T& d, kl_estimator estimator) {
  using enum kl_estimator;
  if (estimator == k1) return d;
  if (estimator == k2) return 0.5 * d * d;
  if (estimator == absolute) return d.abs();
  if (estimator == k1_clamped) return d.clamp_min(0);
  const T k3_value = T(-d).expm1() + d;
  if (estimator == k3) return k3_value;
  const T k2_value = 0.5 * d * d;
  return k2_value + coho::detach(T(k3_value - k2_value));
}

}  // namespace detail

struct kl_estimate_fn {
  /// The estimate at each token. `log_probs` of the policy and `reference_log_probs`, one per token (nats), are arrays,
  /// ranges, tensors (differentiable) or numbers. Returns an Eigen array of the log-probs' number type, a tensor or a
  /// double. NaN gives NaN at its own token only. Throws argument_error when the lengths differ.
  ///
  ///     coho::kl_estimate(-1.0, -15.0, coho::kl_estimator::k1);  // 14
  ///     auto kl = coho::kl_estimate(log_probs, reference_log_probs, coho::kl_estimator::k3);
  template <class LogProbs, class Reference>
  auto operator()(const LogProbs& log_probs, const Reference& reference_log_probs,
                  kl_estimator estimator = kl_estimator::k1) const {
    static_assert(detail::array_check<LogProbs, Reference>::passed);
    if constexpr (detail::floating_scalar<LogProbs>) {
      return detail::kl_of(static_cast<double>(log_probs) - static_cast<double>(reference_log_probs), estimator);
    } else if constexpr (detail::device_array<LogProbs>) {
      detail::check_same_shape(log_probs, reference_log_probs, "kl_estimate");
      return detail::kl_of(LogProbs(log_probs - reference_log_probs), estimator);
    } else {
      using number = detail::host_number_t<LogProbs>;
      const auto p = detail::host_elements(log_probs);
      const auto r = detail::host_elements(reference_log_probs);
      detail::check_lengths(p.size(), r.size(), "kl_estimate", "reference_log_probs");
      detail::array_of<number> out(static_cast<Eigen::Index>(p.size()));
      detail::with_estimator(estimator, [&](auto chosen) { fill<chosen()>(p, r, out.data()); });
      return out;
    }
  }

 private:
  template <kl_estimator Estimator, class P, class R, class Number>
  static void fill(const P& p, const R& r, Number* __restrict to) {
    using scratch = detail::kl_scratch_t<Number, P, R>;
    const std::size_t size = p.size();
    if constexpr (Estimator == kl_estimator::k3 || Estimator == kl_estimator::k3_straight_through) {
      detail::block<scratch> p_scratch, r_scratch;
      detail::block<double> d, kl, slope;
      for (std::size_t begin = 0; begin < size; begin += detail::token_block) {
        const std::size_t count = std::min(size - begin, detail::token_block);
        detail::store_difference(1, p_scratch.view(p, begin, count), r_scratch.view(r, begin, count), d.data);
        detail::kl_of_block<kl_estimator::k3>(d.data, kl.data, slope.data);
        detail::store(kl.data, to + begin, count);
      }
    } else {
      using wide = std::conditional_t<Estimator == kl_estimator::k2, double, scratch>;
      for (std::size_t t = 0; t < size; ++t) {
        const wide d = static_cast<wide>(p[t]) - static_cast<wide>(r[t]);
        to[t] = static_cast<Number>(detail::kl_of(d, Estimator));
      }
    }
  }
};
inline constexpr kl_estimate_fn kl_estimate{};

struct kl_loss_options {
  kl_estimator estimator = kl_estimator::k3;
  /// d = log π − log π_ref is limited to ±clip (nats), with gradient 0 beyond; > 0, or 0 for off. It keeps one token
  /// from dominating the batch under k2 and k3, which grow as d² and e^−d; 10 rarely affects healthy runs.
  double clip = 0;
  static void describe(auto&& visit, auto&... o) {
    visit({"estimator", "of the KL of a token"}, o.estimator...);
    visit({"clip", "limits log π − log π_ref to ± this; 0: off", allowed::bound(), "nats"}, o.clip...);
  }
};

template <class Value, class Array>
struct kl_loss_result {
  Value value;        ///< the loss
  Array d_log_probs;  ///< its gradient with respect to the policy's log-probs
};

/// A KL penalty as a term of the loss instead of the reward: L = Σ_t w_t·KL_t. The reference is a constant.
/// Arguments, results and errors as for `nll_loss`; option_error at construction.
///
///     coho::kl_loss loss{{.estimator = coho::kl_estimator::k2}};
///     auto [value, d_log_probs] = loss.value_and_grad(log_probs, reference_log_probs, weights);
class kl_loss {
 public:
  explicit kl_loss(const kl_loss_options& options = {}) : options_(options) { validate(options); }
  const kl_loss_options& options() const noexcept { return options_; }

  template <class LogProbs, class Reference, class Weights>
  auto operator()(const LogProbs& log_probs, const Reference& reference_log_probs,
                  const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<LogProbs, Reference, Weights>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      const LogProbs d = detail::without_masked(log_probs, weights) -
                         detail::without_masked(coho::detach(reference_log_probs), weights);
      return coho::sum(weights.values * detail::kl_of(limited(d), options_.estimator));
    } else {
      return value_and_grad(log_probs, reference_log_probs, weights).value;
    }
  }

  template <class LogProbs, class Reference, class Weights>
  auto value_and_grad(const LogProbs& log_probs, const Reference& reference_log_probs,
                      const token_weights<Weights>& weights) const {
    static_assert(detail::array_check<LogProbs, Reference, Weights>::passed);
    if constexpr (detail::device_array<LogProbs>) {
      const LogProbs d = coho::detach(
          LogProbs(detail::without_masked(log_probs, weights) - detail::without_masked(reference_log_probs, weights)));
      const LogProbs bounded = limited(d), slopes = slope(bounded);
      return kl_loss_result<detail::value_of<LogProbs>, LogProbs>{
          coho::sum(weights.values * detail::kl_of(bounded, options_.estimator)),
          weights.values * (options_.clip > 0 ? coho::where(d.abs() > options_.clip, 0.0, slopes) : slopes)};
    } else {
      using number = detail::host_number_t<LogProbs>;
      const auto p = detail::host_elements(log_probs);
      const auto r = detail::host_elements(reference_log_probs);
      const auto w = detail::host_elements(weights.values);
      detail::check_lengths(p.size(), r.size(), "kl_loss", "reference_log_probs");
      detail::check_lengths(p.size(), w.size(), "kl_loss", "weights");
      kl_loss_result<double, detail::array_of<number>> result{
          0, detail::array_of<number>(static_cast<Eigen::Index>(p.size()))};
      detail::with_estimator(options_.estimator, [&](auto chosen) {
        result.value = fused<chosen()>(p, r, w, options_.clip, result.d_log_probs.data());
      });
      detail::require_finite(result.value, "kl_loss");
      return result;
    }
  }

 private:
  template <class T>
  T limited(const T& d) const {
    return options_.clip > 0 ? T(coho::clamp(d, -options_.clip, options_.clip)) : d;
  }

  template <class T>
  T slope(const T& d) const {
    using enum kl_estimator;
    if (options_.estimator == k1) return d.new_ones(d.sizes());
    if (options_.estimator == k3) return -T(-d).expm1();
    if (options_.estimator == absolute) return d.sign();
    if (options_.estimator == k1_clamped) return (d >= 0).to(d.scalar_type());
    return d;
  }

  // k1 and k2 of a whole block without masked tokens, as cheap as reading the block.
  template <kl_estimator Estimator, class Scratch, class Number>
  static double in_one_pass(const double* weight, const Scratch* p, const Scratch* r, Number* __restrict to) {
    constexpr bool square = Estimator == kl_estimator::k2;
    constexpr std::size_t lanes = 8;
    double sums[lanes] = {}, d[lanes], slope[lanes];
    for (std::size_t k = 0; k < detail::token_block; k += lanes) {
      for (std::size_t j = 0; j < lanes; ++j) d[j] = static_cast<double>(p[k + j]) - static_cast<double>(r[k + j]);
      for (std::size_t j = 0; j < lanes; ++j) slope[j] = square ? weight[k + j] * d[j] : weight[k + j];
      for (std::size_t j = 0; j < lanes; ++j) sums[j] += slope[j] * d[j];
      for (std::size_t j = 0; j < lanes; ++j) to[k + j] = static_cast<Number>(slope[j]);
    }
    const double total = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
    return square ? 0.5 * total : total;
  }

  template <kl_estimator Estimator, class P, class R, class W, class Number>
  static double fused(const P& p, const R& r, const W& w, double clip, Number* to) {
    constexpr std::size_t block = detail::token_block;
    detail::block<detail::kl_scratch_t<Number, P, R>> p_scratch, r_scratch;
    detail::block<double> w_scratch, d, bounded, kl, slope;
    double value = 0;
    for (std::size_t begin = 0; begin < p.size(); begin += block) {
      const std::size_t count = std::min(p.size() - begin, block);
      const double* const weight = w_scratch.view(w, begin, count);
      const double counted = detail::count_nonzero(weight);
      if (counted == 0) {  // padding
        std::fill_n(to + begin, count, Number(0));
        continue;
      }
      const auto *const a = p_scratch.view(p, begin, count), *const b = r_scratch.view(r, begin, count);
      if constexpr (Estimator == kl_estimator::k1 || Estimator == kl_estimator::k2) {
        if (clip == 0 && counted == static_cast<double>(block)) {
          value += in_one_pass<Estimator>(weight, a, b, to + begin);
          continue;
        }
      }
      detail::store_difference(1, a, b, d.data);
      detail::clear_masked(weight, counted, d.data);
      if (clip > 0) {
        for (std::size_t k = 0; k < block; ++k) bounded[k] = detail::limit(d[k], -clip, clip);
        detail::kl_of_block<Estimator>(bounded.data, kl.data, slope.data);
        for (std::size_t k = 0; k < block; ++k) slope[k] = detail::keep_if(bounded[k] == d[k], slope[k]);
        for (std::size_t k = 0; k < block; ++k) kl[k] += d[k] - d[k];  // a clip must not hide non-finite values
      } else {
        detail::kl_of_block<Estimator>(d.data, kl.data, slope.data);
      }
      value += detail::dot(weight, kl.data);
      detail::store_product(weight, slope.data, to + begin, count);
    }
    return value;
  }

  kl_loss_options options_;
};

}  // namespace coho::inline v0_1
