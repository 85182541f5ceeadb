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
#include <coho/loss/detail/blocks.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

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

}  // namespace coho::inline v0_1
