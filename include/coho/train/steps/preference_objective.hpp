#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <string>
#include <utility>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/reduce.hpp>
#include <coho/train/steps/model_outputs.hpp>

namespace coho {

/// What is known of a batch of preferences when its loss is computed. All arrays have one number an example.
struct preference_log_probs {
  Eigen::ArrayXd preferred{}, other{};                      ///< log π of whole responses, nats
  Eigen::ArrayXd reference_preferred{}, reference_other{};  ///< of the reference policy; 0 where the loss needs none
  Eigen::ArrayXd preferred_tokens{}, other_tokens{};        ///< response lengths; 0: this response is missing
  double kl_baseline = 0;                                   ///< z0 of KTO; 0 for other losses
};

/// The loss of a batch and its gradient with respect to `preferred` and `other`.
struct preference_gradient {
  double value = 0;
  Eigen::ArrayXd d_preferred{}, d_other{};
  double accuracy = 0;  ///< share of examples that the policy's implicit rewards order as the labels do
  double margin = 0;    ///< mean difference of the implicit rewards
};

/// preference_loss: what `direct_preference_trainer` minimises.
///  (1) One of coho's losses over whole responses (dpo_loss, kto_loss, orpo_loss, simpo_loss, cpo_loss), or an object
///      whose `l.value_and_grad(log_probs, weights)` takes a `const preference_log_probs&` and a
///      `const token_weights<Eigen::ArrayXd>&` of one weight an example and returns a `preference_gradient`.
///  (2) The loss is a sum over examples weighted by `weights`: micro-batches add up.
///  (3) An own loss may have `static constexpr bool needs_reference = false`: then no reference policy is evaluated.
template <class Loss>
concept preference_loss =
    std::same_as<Loss, dpo_loss> || std::same_as<Loss, kto_loss> || std::same_as<Loss, orpo_loss> ||
    std::same_as<Loss, simpo_loss> || std::same_as<Loss, cpo_loss> ||
    requires(const Loss& l, const preference_log_probs& x, const token_weights<Eigen::ArrayXd>& w) {
      { l.value_and_grad(x, w) } -> std::convertible_to<preference_gradient>;
    };

template <class Loss>
consteval bool require_preference_loss() {
  static_assert(
      preference_loss<Loss>,
      "coho::preference_loss (1): the loss is none of coho's losses over whole responses and has no "
      "value_and_grad(const preference_log_probs&, const token_weights<Eigen::ArrayXd>&) const that returns a "
      "coho::preference_gradient");
  return true;
}

namespace detail {

template <class Loss>
constexpr bool needs_reference() {
  if constexpr (requires {
                  { Loss::needs_reference } -> std::convertible_to<bool>;
                })
    return Loss::needs_reference;
  return !std::same_as<Loss, orpo_loss> && !std::same_as<Loss, simpo_loss> && !std::same_as<Loss, cpo_loss>;
}

/// Losses that compare two answers cannot learn from one.
template <class Loss>
constexpr bool needs_pairs = !std::same_as<Loss, kto_loss>;

template <class Result>
preference_gradient preference_gradient_of(Result result) {
  return {result.value, std::move(result.d_preferred), std::move(result.d_other), result.accuracy, result.margin};
}

/// Of losses over mean log-probs: the chain rule back to sums.
template <class Loss, class Array>
preference_gradient of_means(const Loss& loss, const preference_log_probs& x, const token_weights<Array>& weights) {
  Array preferred = x.preferred, other = x.other;
  preferred /= x.preferred_tokens;
  other /= x.other_tokens;
  auto out = preference_gradient_of(loss.value_and_grad(preferred, other, weights));
  out.d_preferred /= x.preferred_tokens;
  out.d_other /= x.other_tokens;
  return out;
}

/// Each response of an example is an example of KTO.
template <std::same_as<preference_log_probs> Known, class Array>
preference_gradient of_responses(const kto_loss& loss, const Known& x, const token_weights<Array>& weights) {
  const Eigen::Index n = x.preferred.size();
  const auto both = [n](const Array& a, const Array& b) {
    Array out(2 * n);
    out << a, b;
    return out;
  };
  const Array there =
      both((x.preferred_tokens > 0).template cast<double>(), (x.other_tokens > 0).template cast<double>());
  const token_weights<Array> each{both(weights.values, weights.values) * there};
  const auto result = loss.value_and_grad(both(x.preferred, x.other), both(x.reference_preferred, x.reference_other),
                                          both(Array::Ones(n), Array::Zero(n)), x.kl_baseline, each);
  return {result.value, result.d_log_probs.head(n), result.d_log_probs.tail(n), result.accuracy, result.margin};
}

template <class Loss>
preference_gradient evaluate_preference(const Loss& loss, const preference_log_probs& x,
                                        const token_weights<Eigen::ArrayXd>& weights) {
  if constexpr (std::same_as<Loss, dpo_loss>) {
    return preference_gradient_of(
        loss.value_and_grad(x.preferred, x.other, x.reference_preferred, x.reference_other, weights));
  } else if constexpr (std::same_as<Loss, cpo_loss>) {
    return preference_gradient_of(loss.value_and_grad(x.preferred, x.other, x.preferred_tokens, weights));
  } else if constexpr (std::same_as<Loss, orpo_loss> || std::same_as<Loss, simpo_loss>) {
    return of_means(loss, x, weights);
  } else if constexpr (std::same_as<Loss, kto_loss>) {
    return of_responses(loss, x, weights);
  } else {
    preference_gradient out = loss.value_and_grad(x, weights);
    const auto size = static_cast<std::size_t>(x.preferred.size());
    out.d_preferred = lift_output(out.d_preferred, size, "d_preferred of the preference loss");
    out.d_other = lift_output(out.d_other, size, "d_other of the preference loss");
    require_argument(std::isfinite(out.value) && std::isfinite(out.accuracy) && std::isfinite(out.margin),
                     "the value, accuracy or margin of the preference loss is not finite");
    return out;
  }
}

}  // namespace detail
}  // namespace coho
