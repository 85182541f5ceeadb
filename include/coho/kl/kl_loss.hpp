#pragma once

#include <cmath>
#include <concepts>
#include <type_traits>
#include <utility>

#include <coho/kl/estimators.hpp>
#include <coho/kl/kl_loss_inputs.hpp>
#include <coho/loss/elementwise_loss.hpp>
#include <coho/math.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

struct kl_loss_options {
  kl_estimator estimator = kl_estimator::k3;
  /// d = log π − log π_ref is limited to ±clip (nats), with gradient 0 beyond; > 0, or 0 for off. It keeps one token
  /// from dominating the batch under k2 and k3, which grow as d² and e^−d; 10 rarely affects healthy runs.
  double clip = 0;
  static void describe(auto&& visit, auto&... o) {
    visit({"estimator", "estimator of the KL of a token"}, o.estimator...);
    visit({"clip", "limits log π − log π_ref to ± this; 0: off", allowed::bound(), "nats"}, o.clip...);
  }
};

namespace detail {

/// The term of one token, or of all of them as a tensor, as `elementwise_loss` requires. The estimator and whether
/// there is a clip are known at compile time, so that the loop over tokens does not branch on them.
template <kl_estimator Estimator, bool Clipped>
struct kl_loss_terms {
  double clip;

  template <bool Gradient, class T>
  element_terms<T, 1> element(const T& log_prob, const T& reference_log_prob) const {
    const T d = log_prob - reference_log_prob;
    if constexpr (!Clipped) {
      return unclipped_term<Gradient>(d);
    } else {
      const T bounded = coho::clamp(d, -clip, clip);
      auto out = unclipped_term<Gradient>(bounded);
      if constexpr (std::floating_point<T>) out.value += d - d;  // the clip must not hide infinity
      if constexpr (Gradient) out.slopes = {T(coho::where(bounded == d, out.slopes[0], T(0.0 * d)))};
      return out;
    }
  }

  /// Value and slope from d, as if there were no clip.
  template <bool Gradient, class T>
  static element_terms<T, 1> unclipped_term(const T& d) {
    element_terms<T, 1> out;
    if constexpr (Estimator == kl_estimator::k3 && std::floating_point<T>) {
      const T excess = std::expm1(-d);  // of value and slope: one call instead of two
      out.value = k3_value(d, excess);
      if constexpr (Gradient) out.slopes = {-excess};
    } else {
      out.value = kl_value<Estimator>(d);
      if constexpr (Gradient) out.slopes = {T(kl_slope<Estimator>(d))};
    }
    return out;
  }
};

}  // namespace detail

template <class Value, class Array>
struct kl_loss_result {
  Value value;        ///< the loss
  Array d_log_probs;  ///< its gradient with respect to the policy's log-probs
};

/// A KL penalty as a term of the loss instead of the reward, over tokens with weights w:
///
///     L = Σ_t w_t·KL_t,   KL_t as in `kl_estimator`
///
/// Uses all members of `kl_loss_inputs`: arrays, ranges or tensors; the reference is a constant. Without weights the
/// loss is the mean. Two numbers give the term of one token. `operator()` returns double, or a 0-d tensor that is
/// differentiable; `value_and_grad` a `kl_loss_result`. Throws option_error at construction; argument_error when
/// lengths differ or the loss is not finite (host arrays).
///
///     coho::kl_loss loss{{.estimator = coho::kl_estimator::k2}};
///     auto [value, d_log_probs] = loss.value_and_grad(
///         {.log_probs = log_probs, .reference_log_probs = reference_log_probs, .weights = weights});
class kl_loss {
  // Calls f with the formula of the options: their estimator, with or without a clip.
  template <class F>
  auto with_terms(const F& f) const {
    return detail::with_estimator(options_.estimator, [&](auto estimator) {
      return options_.clip > 0 ? f(detail::kl_loss_terms<estimator(), true>{options_.clip})
                               : f(detail::kl_loss_terms<estimator(), false>{});
    });
  }

 public:
  explicit kl_loss(const kl_loss_options& options = {}) : options_(options) { validate(options); }
  const kl_loss_options& options() const noexcept { return options_; }

  double operator()(double log_prob, double reference_log_prob) const {
    return with_terms([&](const auto& terms) { return frame.value(terms, log_prob, reference_log_prob); });
  }
  template <class Array = double>
  auto operator()(const kl_loss_inputs<Array>& in) const {
    return with_terms([&](const auto& terms) {
      return frame.weighted_value(terms, in.weights, in.log_probs, in.reference_log_probs);
    });
  }
  template <class Array = double>
  auto value_and_grad(const kl_loss_inputs<Array>& in) const {
    return with_terms([&](const auto& terms) {
      auto result = frame.weighted_value_and_grad(terms, in.weights, in.log_probs, in.reference_log_probs);
      auto& d_log_probs = result.gradients[0];
      return kl_loss_result<decltype(result.value), std::remove_cvref_t<decltype(d_log_probs)>>{result.value,
                                                                                                std::move(d_log_probs)};
    });
  }

 private:
  static constexpr elementwise_loss<1, 2> frame{"kl_loss", {"log_probs", "reference_log_probs"}};

  kl_loss_options options_;
};

}  // namespace coho::inline v0_1
