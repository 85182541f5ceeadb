#pragma once

#include <coho/concepts.hpp>

namespace coho {

/// Two answers to one prompt, the preferred one first. The queries refer to text and tokens that the caller keeps.
struct preference_pair {
  reward_query preferred;
  reward_query other;
  double target = 1;  ///< probability that `preferred` is the preferred one; 0.5 for a tie; in [0, 1]
  double margin = 0;  ///< m of `bradley_terry_loss`, beside the options' margin; 0 for other losses
};

}  // namespace coho
