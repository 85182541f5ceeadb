#pragma once

#include <Eigen/Core>

namespace coho::inline v0_1 {

/// A batch of preferences, the argument of a preference_loss's `value_and_grad`.
/// All arrays have one number per example.
struct preference_log_probs {
  Eigen::ArrayXd chosen{}, rejected{};                      ///< log π of whole responses, nats
  Eigen::ArrayXd reference_chosen{}, reference_rejected{};  ///< of the reference policy; 0 where the loss needs none
  Eigen::ArrayXd chosen_tokens{}, rejected_tokens{};        ///< response lengths; 0: this response is missing
  double kl_baseline = 0;                                   ///< z0 of KTO; 0 for other losses
};

/// The loss of a batch and its gradient with respect to `chosen` and `rejected`.
struct preference_gradient {
  double value = 0;
  Eigen::ArrayXd d_chosen{}, d_rejected{};
  double accuracy = 0;           ///< fraction of examples that the policy's implicit rewards order as the labels do
  double reward_difference = 0;  ///< mean difference of the implicit rewards
};

namespace detail {

/// The result of an `elementwise_loss` over pairs, with the measures accuracy and reward difference, in the form of the
/// preference_loss protocol.
template <class Result>
preference_gradient to_preference_gradient(const Result& result) {
  return {result.value, result.gradients[0], result.gradients[1], result.measures[0], result.measures[1]};
}

/// A loss over mean log-probs, `evaluate(chosen_means, rejected_means)`, on sums: divides them by the lengths, and the
/// gradients with respect to the means likewise.
template <class Known, class Evaluate>
preference_gradient evaluate_on_means(const Known& x, Evaluate evaluate) {
  preference_gradient out = to_preference_gradient(
      evaluate(Eigen::ArrayXd(x.chosen / x.chosen_tokens), Eigen::ArrayXd(x.rejected / x.rejected_tokens)));
  out.d_chosen /= x.chosen_tokens;
  out.d_rejected /= x.rejected_tokens;
  return out;
}

}  // namespace detail

}  // namespace coho::inline v0_1
