#pragma once

#include <coho/array_view.hpp>

namespace coho::inline v0_1 {

/// Named inputs of the losses of reward models over pairs (`bradley_terry_loss`, `bradley_terry_ties_loss`). `Array` is
/// double (the default where only braces are written), float, or a tensor type; arrays have one number per pair.
///
///     loss.value_and_grad({.chosen = chosen_scores, .rejected = rejected_scores, .margins = margins});
///     loss(coho::pair_loss_inputs<at::Tensor>{.chosen = chosen_scores, .rejected = rejected_scores});
template <class Array = double>
struct pair_loss_inputs {
  [[no_unique_address]] detail::by_name only_by_name = detail::named;
  typename detail::input_types<Array>::number chosen;    ///< scores r of the chosen (or first) responses
  typename detail::input_types<Array>::number rejected;  ///< scores s of the rejected (or second) ones
  optional_constant<Array> targets{};  ///< t: probability that the first is preferred, 0.5 for a tie; in [0, 1]
  optional_constant<Array> margins{};  ///< m: of r over s, such as how strongly an annotator preferred the response
  optional_weights<Array> weights{};   ///< one factor per pair, 0 drops the pair; none: the mean
};

}  // namespace coho::inline v0_1
