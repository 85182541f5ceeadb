#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
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

/// e^−d − 1 + d from e^−d − 1; by its series where rounding would eat the difference.
template <std::floating_point Number>
Number k3_value(Number d, Number excess) noexcept {
  const Number series = d * d * (Number(0.5) - d * (Number(1.0 / 6) - d * (Number(1.0 / 24) - d * Number(1.0 / 120))));
  return std::abs(d) < Number(1e-3) ? series : excess + d;
}

/// The estimate of one token from d = log π − log π_ref.
template <kl_estimator Estimator, std::floating_point Number>
Number kl_value(Number d) noexcept {
  using enum kl_estimator;
  if constexpr (Estimator == k1) return d;
  if constexpr (Estimator == k2) return Number(0.5) * d * d;
  if constexpr (Estimator == absolute) return std::abs(d);
  if constexpr (Estimator == k1_clamped) return d < 0 ? Number(0) : d;
  return k3_value(d, std::expm1(-d));
}

/// The derivative of `kl_value` with respect to d, for a number or elementwise for a tensor. k3_straight_through has
/// that of k2; at their kinks, absolute has 0 and k1_clamped 1.
template <kl_estimator Estimator, class T>
T kl_slope(const T& d) {
  using enum kl_estimator;
  using std::expm1;
  const T zero = 0.0 * d, one = zero + 1.0;
  if constexpr (Estimator == k1) return one;
  if constexpr (Estimator == k3) return -T(expm1(T(-d)));
  if constexpr (Estimator == absolute) return T(coho::where(d > 0, one, zero)) - T(coho::where(d < 0, one, zero));
  if constexpr (Estimator == k1_clamped) return coho::where(d >= 0, one, zero);
  return d;
}

template <class Elements>
using element_of = std::remove_cvref_t<decltype(std::declval<const Elements&>()[0])>;

/// Calls f with the estimator as a compile-time constant, so that loops over tokens do not branch on it.
template <class F>
decltype(auto) with_estimator(kl_estimator estimator, F&& f) {
  using enum kl_estimator;
  switch (estimator) {
    case k2:
      return f(std::integral_constant<kl_estimator, k2>{});
    case k3:
      return f(std::integral_constant<kl_estimator, k3>{});
    case absolute:
      return f(std::integral_constant<kl_estimator, absolute>{});
    case k1_clamped:
      return f(std::integral_constant<kl_estimator, k1_clamped>{});
    case k3_straight_through:
      return f(std::integral_constant<kl_estimator, k3_straight_through>{});
    case k1:
      break;
  }
  return f(std::integral_constant<kl_estimator, k1>{});
}

/// The same, elementwise for a tensor of d; differentiable as `kl_slope` says.
template <kl_estimator Estimator, device_array T>
T kl_value(const T& d) {
  using enum kl_estimator;
  if constexpr (Estimator == k1) return d;
  if constexpr (Estimator == absolute) return d.abs();
  if constexpr (Estimator == k1_clamped) return d.clamp_min(0);
  const T k2_value = 0.5 * d * d;
  if constexpr (Estimator == k2) return k2_value;
  const T k3_value = T(-d).expm1() + d;
  if constexpr (Estimator == k3) return k3_value;
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
    return detail::with_estimator(estimator, [&](auto chosen) {
      if constexpr (detail::floating_scalar<LogProbs>) {
        return detail::kl_value<chosen()>(static_cast<double>(log_probs) - static_cast<double>(reference_log_probs));
      } else if constexpr (detail::device_array<LogProbs>) {
        detail::check_same_shape(log_probs, reference_log_probs, "kl_estimate");
        return detail::kl_value<chosen()>(LogProbs(log_probs - reference_log_probs));
      } else {
        return estimate_on_host<chosen()>(detail::host_elements(log_probs), detail::host_elements(reference_log_probs));
      }
    });
  }

 private:
  // Elements p of the policy and r of the reference; results in the number type of p.
  template <kl_estimator Estimator, class P, class R>
  static auto estimate_on_host(const P& p, const R& r) {
    using enum kl_estimator;
    using number = detail::element_of<P>;
    // Where it costs no precision, in the type that both arrays share, because more of these fit a vector.
    constexpr bool exact = Estimator == k1 || Estimator == absolute || Estimator == k1_clamped;
    using wide = std::conditional_t<exact && std::is_same_v<number, detail::element_of<R>>, number, double>;
    detail::check_lengths(p.size(), r.size(), "kl_estimate", "reference_log_probs");
    detail::array_of<number> out(static_cast<Eigen::Index>(p.size()));
    number* const to = out.data();
    for (std::size_t t = 0; t < p.size(); ++t) {
      to[t] = static_cast<number>(detail::kl_value<Estimator>(static_cast<wide>(p[t]) - static_cast<wide>(r[t])));
    }
    return out;
  }
};
inline constexpr kl_estimate_fn kl_estimate{};

}  // namespace coho::inline v0_1
