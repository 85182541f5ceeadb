#pragma once

#include <coho/array_view.hpp>

namespace coho::inline v0_1 {

/// Named inputs of value losses. `Array` is double (the default where only braces are
/// written), float, or a tensor type. A loss ignores the members that it does not need; arrays have one number per
/// token.
///
///     loss.value_and_grad({.values = values, .old_values = old_values, .returns = returns, .weights = weights});
template <class Array = double>
struct value_loss_inputs {
  [[no_unique_address]] detail::by_name only_by_name = detail::named;
  typename detail::input_types<Array>::number values;          ///< V(t); the gradient is with respect to it
  typename detail::input_types<Array>::constant old_values{};  ///< V(t) of the rollout, constant
  typename detail::input_types<Array>::constant returns{};     ///< R_t, the targets; constant
  optional_weights<Array> weights{};                           ///< w_t of `make_token_weights`; none: the mean
};

}  // namespace coho::inline v0_1
