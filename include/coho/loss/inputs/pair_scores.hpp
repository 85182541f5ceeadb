#pragma once

#include <Eigen/Core>

namespace coho::inline v0_1 {

/// A batch of preference pairs, the argument of a pair_loss's `value_and_grad`. All arrays have
/// one number per pair.
struct pair_scores {
  Eigen::ArrayXd chosen{}, rejected{};  ///< scores of the reward model
  Eigen::ArrayXd targets{};             ///< probability that `chosen` is the better one; 0.5 for a tie; in [0, 1]
  Eigen::ArrayXd margins{};             ///< of the chosen over the rejected score; 0 for losses without margins
};

/// The loss of a batch of pairs and its gradient with respect to `chosen` and `rejected`.
struct pair_gradient {
  double value = 0;
  Eigen::ArrayXd d_chosen{}, d_rejected{};
};

}  // namespace coho::inline v0_1
