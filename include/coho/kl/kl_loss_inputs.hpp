#pragma once

#include <coho/array_view.hpp>

namespace coho::inline v0_1 {

/// Named inputs of `kl_loss`. `Array` is double (the default where only braces are written), float, or a tensor type;
/// arrays have one number per token.
///
///     loss.value_and_grad({.log_probs = log_probs, .reference_log_probs = reference, .weights = weights});
template <class Array = double>
struct kl_loss_inputs {
  [[no_unique_address]] detail::by_name only_by_name = detail::named;
  typename detail::input_types<Array>::number log_probs;                ///< log π(y_t), nats; the gradient is of it
  typename detail::input_types<Array>::constant reference_log_probs{};  ///< log π_ref(y_t), nats; constant
  optional_weights<Array> weights{};                                    ///< w_t of `make_token_weights`; none: the mean
};

}  // namespace coho::inline v0_1
