#pragma once

#include <coho/concepts.hpp>

namespace coho::inline v0_1 {

/// Two answers to one prompt, the chosen one first. The queries refer to text and tokens owned by the caller.
struct preference_pair {
  reward_query chosen;
  reward_query rejected;
  double target = 1;       ///< probability that `chosen` is the better one; 0.5 for a tie; in [0, 1]
  double loss_margin = 0;  ///< m of `bradley_terry_loss`, added to the options' margin; 0 for other losses
};

}  // namespace coho::inline v0_1
