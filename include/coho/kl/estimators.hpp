#pragma once

#include <cmath>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/token_loss.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>

namespace coho {

/// Estimates of KL(π ‖ π_ref) from one sampled token, with d = log π(y) − log π_ref(y) (Schulman 2020, "Approximating
/// KL divergence").
enum class kl_estimator {
  k1,                   ///< d: unbiased, of either sign
  k2,                   ///< d²/2: biased, its gradient is that of the KL
  k3,                   ///< e^−d − 1 + d: unbiased, never negative
  absolute,             ///< |d|
  k1_clamped,           ///< max(d, 0), what AlpacaFarm's and SALMON's code call k1
  k3_straight_through,  ///< the value of k3 with the gradient of k2
};

namespace detail {

inline double kl_of(double d, kl_estimator estimator) noexcept {
  switch (estimator) {
    case kl_estimator::k1:
      return d;
    case kl_estimator::k2:
      return 0.5 * d * d;
    case kl_estimator::k3:
    case kl_estimator::k3_straight_through:
      return std::expm1(-d) + d;
    case kl_estimator::absolute:
      return std::abs(d);
    case kl_estimator::k1_clamped:
      return d < 0 ? 0.0 : d;
  }
  return d;
}

/// The estimate and its derivative with respect to d, which share the exponential of k3.
inline std::pair<double, double> kl_and_slope(double d, kl_estimator estimator) noexcept {
  switch (estimator) {
    case kl_estimator::k1:
      return {d, 1};
    case kl_estimator::k2:
      return {0.5 * d * d, d};
    case kl_estimator::k3: {
      const double excess = std::expm1(-d);
      return {excess + d, -excess};
    }
    case kl_estimator::k3_straight_through:
      return {kl_of(d, estimator), d};
    case kl_estimator::absolute:
      return {std::abs(d), d > 0 ? 1.0 : (d < 0 ? -1.0 : 0.0)};
    case kl_estimator::k1_clamped:
      return {kl_of(d, estimator), d >= 0 ? 1.0 : 0.0};
  }
  return {d, 1};
}

/// Calls f with the estimator as a compile-time constant, so that no loop over tokens asks which it is.
template <class F>
auto with_estimator(kl_estimator estimator, F&& f) {
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

template <device_array T>
T kl_of(const T& d, kl_estimator estimator) {
  const auto k3 = [&] { return T(T(-d).expm1() + d); };
  switch (estimator) {
    case kl_estimator::k1:
      return d;
    case kl_estimator::k2:
      return 0.5 * d * d;
    case kl_estimator::k3:
      return k3();
    case kl_estimator::absolute:
      return d.abs();
    case kl_estimator::k1_clamped:
      return d.clamp_min(0);
    case kl_estimator::k3_straight_through: {
      const T k2 = 0.5 * d * d;
      return k2 + coho::detach(T(k3() - k2));
    }
  }
  return d;
}

}  // namespace detail

struct kl_estimate_fn {
  /// The estimate at each token. `log_probs` of the policy, `reference_log_probs`: one a token (nats); arrays, ranges,
  /// tensors (differentiable) or numbers. Returns an Eigen array of the log-probs' number type, a tensor or a double.
  /// NaN gives NaN at its own token. Throws argument_error when the lengths differ.
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
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(p[0])>, number> &&
                    std::is_same_v<std::remove_cvref_t<decltype(r[0])>, number>) {
        // Vectorised; a difference of two floats is the same whether rounded from double or taken in float.
        const Eigen::Map<const detail::array_of<number>> a(p.data(), out.size()), b(r.data(), out.size());
        if (estimator == kl_estimator::k1) {
          out = a - b;
          return out;
        }
        if (std::is_same_v<number, double> && estimator == kl_estimator::k2) {
          out = number(0.5) * (a - b) * (a - b);
          return out;
        }
      }
      const auto fill = [&, result = out.data()](auto chosen) {
        for (std::size_t t = 0; t < p.size(); ++t) {
          const double d = static_cast<double>(p[t]) - static_cast<double>(r[t]);
          result[t] = static_cast<number>(detail::kl_of(d, chosen()));
        }
      };
      detail::with_estimator(estimator, fill);
      return out;
    }
  }
};
inline constexpr kl_estimate_fn kl_estimate{};

struct kl_loss_options {
  kl_estimator estimator = kl_estimator::k3;
  /// d = log π − log π_ref is limited to ±clip (nats); beyond, the gradient is 0; > 0, or 0 for off. It keeps one token
  /// from ruling the batch under k2 and k3, which grow as d² and e^−d; 10 hardly touches healthy runs.
  double clip = 0;
};

template <class Value, class Array>
struct kl_loss_result {
  Value value;        ///< the loss
  Array d_log_probs;  ///< its gradient with respect to the policy's log-probs
};

/// A KL penalty as a term of the loss instead of the reward: L = Σ_t w_t·KL_t. The reference is a constant.
/// Arguments, results and errors as those of `nll_loss`, and option_error at construction.
///
///     coho::kl_loss loss{{.estimator = coho::kl_estimator::k2}};
///     auto [value, d_log_probs] = loss.value_and_grad(log_probs, reference_log_probs, weights);
class kl_loss {
 public:
  explicit kl_loss(const kl_loss_options& options = {}) : options_(options) {
    require_option(options.clip >= 0, "clip", options.clip, "greater than 0, or 0 (off)");
  }
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
      const double clip = options_.clip;
      const auto fill = [&, to = result.d_log_probs.data()](auto chosen, auto clipped) {
        double value = 0;
        for (std::size_t t = 0; t < p.size(); ++t) {
          const double weight = static_cast<double>(w[t]);
          if (weight == 0) {
            to[t] = number(0);
            continue;
          }
          const double d = static_cast<double>(p[t]) - static_cast<double>(r[t]);
          const double bounded = clipped() ? detail::limit(d, -clip, clip) : d;
          const auto [kl, slope] = detail::kl_and_slope(bounded, chosen());
          value += weight * (clipped() ? kl + (d - d) : kl);  // a clip must not hide what is not finite
          to[t] = static_cast<number>(!clipped() || bounded == d ? weight * slope : 0.0);
        }
        return value;
      };
      result.value = detail::with_estimator(options_.estimator, [&](auto chosen) {
        return clip > 0 ? fill(chosen, std::true_type{}) : fill(chosen, std::false_type{});
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
    switch (options_.estimator) {
      case kl_estimator::k1:
        return d.new_ones(d.sizes());
      case kl_estimator::k2:
      case kl_estimator::k3_straight_through:
        return d;
      case kl_estimator::k3:
        return -T(-d).expm1();
      case kl_estimator::absolute:
        return d.sign();
      case kl_estimator::k1_clamped:
        return (d >= 0).to(d.scalar_type());
    }
    return d;
  }

  kl_loss_options options_;
};

}  // namespace coho
