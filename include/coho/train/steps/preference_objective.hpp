#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/reduce.hpp>
#include <coho/train/steps/model_outputs.hpp>

namespace coho::inline v0_1 {

/// preference_loss: what `direct_preference_trainer` minimises. coho's losses over whole responses qualify (dpo_loss,
/// kto_loss, orpo_loss, simpo_loss, cpo_loss).
///  (1) `l.value_and_grad(log_probs, weights)`, const, with a `const preference_log_probs&` and a
///      `const token_weights<Eigen::ArrayXd>&` of one weight per example, returns a `preference_gradient`.
///  (2) The loss is a sum over examples weighted by `weights`: micro-batches add up.
///  (3) Optional `bool` members, static or of the object: `needs_reference`, false: no reference policy is evaluated;
///      `needs_pairs`, false: an example may have one response only; `needs_kl_baseline`, true: the KL baseline of
///      `kto_loss` is computed, which takes a reference policy.
template <class Loss>
concept preference_loss =
    requires(const Loss& l, const preference_log_probs& x, const token_weights<Eigen::ArrayXd>& w) {
      { l.value_and_grad(x, w) } -> std::convertible_to<preference_gradient>;
    };

/// A compile error that names what a preference_loss needs.
template <class Loss>
consteval bool require_preference_loss() {
  static_assert(preference_loss<Loss>,
                "coho::preference_loss (1): the loss has no value_and_grad(const preference_log_probs&, const "
                "token_weights<Eigen::ArrayXd>&) const that returns a coho::preference_gradient");
  return true;
}

namespace detail {

/// What a loss says of itself by its optional members. One that says nothing compares two responses and has a
/// reference.
struct preference_needs {
  bool reference = true, pairs = true, kl_baseline = false;
};
template <class Loss>
constexpr preference_needs needs_of(const Loss& loss) {
  preference_needs out;
  if constexpr (requires { loss.needs_reference; }) out.reference = loss.needs_reference;
  if constexpr (requires { loss.needs_pairs; }) out.pairs = loss.needs_pairs;
  if constexpr (requires { loss.needs_kl_baseline; }) out.kl_baseline = loss.needs_kl_baseline;
  return out;
}

/// Whether that is known of the type: of losses that decide it per object, `needs_of` does.
template <class Loss>
constexpr bool always_needs_kl_baseline = false;
template <class Loss>
  requires requires { typename std::bool_constant<Loss::needs_kl_baseline>; }
constexpr bool always_needs_kl_baseline<Loss> = Loss::needs_kl_baseline;

/// The loss of a batch and its gradients. Throws argument_error for gradients of another length and numbers that are
/// not finite.
template <class Loss>
preference_gradient evaluate_preference_loss(const Loss& loss, const preference_log_probs& x,
                                             const token_weights<Eigen::ArrayXd>& weights) {
  preference_gradient out = loss.value_and_grad(x, weights);
  const auto size = static_cast<std::size_t>(x.chosen.size());
  out.d_chosen = checked_output(out.d_chosen, size, "d_chosen of the preference loss");
  out.d_rejected = checked_output(out.d_rejected, size, "d_rejected of the preference loss");
  require_argument(std::isfinite(out.value) && std::isfinite(out.accuracy) && std::isfinite(out.reward_difference),
                   "the value, accuracy or reward_difference of the preference loss is not finite");
  return out;
}

}  // namespace detail
}  // namespace coho::inline v0_1
