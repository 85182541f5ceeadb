#pragma once

#include <concepts>

#include <Eigen/Core>

#include <coho/loss/inputs/preference_log_probs.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// Supervised fine-tuning on the chosen responses, as a term next to a preference loss (RPO: Pang et al. 2024, eq. 1):
///
///     L = Σ_i w_i·c_i·(−log π(y_w,i) / |y_w,i|)
///
/// c_i counts the responses of example i. So the mean is over pairs; among single responses, over all of them, with 0
/// for the undesirable ones. Without implicit rewards of its own it reports log π: `accuracy` is the fraction of
/// examples whose chosen response is the more probable one (ties and single responses count one half), and
/// `reward_difference` the mean of log π(y_w) − log π(y_l), 0 for single responses.
///
///     coho::preference_loss_sum loss;
///     loss.add(1, coho::dpo_loss{{.beta = 0.1}});
///     loss.add(0.2, coho::chosen_nll_loss{});
class chosen_nll_loss {
 public:
  static constexpr bool needs_reference = false, needs_pairs = false;

  /// The interface of a preference_loss.
  template <std::same_as<preference_log_probs> Known, class Weights>
  preference_gradient value_and_grad(const Known& known, const token_weights<Weights>& weights) const {
    const Eigen::Index n = known.chosen.size();
    preference_gradient out{.d_chosen = Eigen::ArrayXd::Zero(n), .d_rejected = Eigen::ArrayXd::Zero(n)};
    double counted = 0;
    for (Eigen::Index i = 0; i < n; ++i) {
      const bool chosen = known.chosen_tokens(i) > 0, pair = chosen && known.rejected_tokens(i) > 0;
      if (!(weights.values(i) > 0)) continue;
      if (chosen) {
        out.d_chosen(i) = -weights.values(i) * (pair ? 2 : 1) / known.chosen_tokens(i);
        out.value += out.d_chosen(i) * known.chosen(i);
      }
      const double difference = pair ? known.chosen(i) - known.rejected(i) : 0;
      out.accuracy += difference > 0 ? 1 : difference == 0 ? 0.5 : 0;
      out.reward_difference += difference;
      ++counted;
    }
    if (counted > 0) {
      out.accuracy /= counted;
      out.reward_difference /= counted;
    }
    return out;
  }
};

}  // namespace coho::inline v0_1
