#pragma once

#include <cmath>
#include <concepts>

#include <coho/math.hpp>

namespace coho::inline v0_1::detail {

/// Log-ratios beyond ±20 count as ±20: a diverging run then shows huge numbers instead of infinities.
inline constexpr double log_ratio_limit = 20;

/// log ρ within the limit; NaN for a non-finite number, which the limit would hide. (Tensors are not checked.)
template <class T>
T limited_log_ratio(const T& log_ratio) {
  const T limited = coho::clamp(log_ratio, -log_ratio_limit, log_ratio_limit);
  if constexpr (std::floating_point<T>) {
    return limited + (log_ratio - log_ratio);
  } else {
    return limited;
  }
}

/// ρ − 1 − log ρ, an estimate of KL(old ‖ new) that is never negative (k3), from a ρ that the loss has already; by its
/// series where rounding would eat the difference.
template <class T>
T token_divergence(const T& ratio, const T& log_ratio) {
  using std::abs;
  const T l = log_ratio;
  const T near_zero = l * l * (0.5 + l * (1.0 / 6 + l * (1.0 / 24 + l * (1.0 / 120 + l * (1.0 / 720)))));
  return coho::where(abs(l) < 0.01, near_zero, T(ratio - 1.0 - l));
}

}  // namespace coho::inline v0_1::detail
