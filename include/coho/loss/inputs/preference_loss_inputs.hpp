#pragma once

#include <coho/array_view.hpp>

namespace coho::inline v0_1 {

/// Named inputs of losses over pairs of responses (`dpo_loss`, `cpo_loss`, `orpo_loss`, `simpo_loss`). `Array` is
/// double (the default where only braces are written), float, or a tensor type. A loss ignores the members that it
/// does not need; arrays have one number per pair.
///
///     loss.value_and_grad({.chosen = chosen, .rejected = rejected, .weights = weights});
///     loss(coho::preference_loss_inputs<at::Tensor>{.chosen = chosen, .rejected = rejected});
template <class Array = double>
struct preference_loss_inputs {
  [[no_unique_address]] detail::by_name only_by_name = detail::named;
  typename detail::input_types<Array>::number chosen;    ///< log π(y_w), nats; sums or means over tokens: see the loss
  typename detail::input_types<Array>::number rejected;  ///< log π(y_l); the gradient is of both
  typename detail::input_types<Array>::constant reference_chosen{};    ///< log π_ref(y_w), constant
  typename detail::input_types<Array>::constant reference_rejected{};  ///< log π_ref(y_l), constant
  typename detail::input_types<Array>::any_number chosen_tokens{};     ///< length of y_w, constant
  optional_weights<Array> weights{};  ///< one factor per pair, 0 drops the pair; none: the mean
};

}  // namespace coho::inline v0_1
