#pragma once

#include <cstddef>
#include <span>

#include <coho/array_view.hpp>

namespace coho::inline v0_1 {

/// Named inputs of policy losses. `Array` is double (the default where only braces are written),
/// float, or a tensor type. A loss ignores the members that it does not need; arrays have one number per token.
///
///     loss.value_and_grad({.log_probs = log_probs, .old_log_probs = old, .advantages = advantages, .weights = weights});
///     loss(coho::policy_loss_inputs<at::Tensor>{.log_probs = log_probs, .advantages = advantages});
template <class Array = double>
struct policy_loss_inputs {
  [[no_unique_address]] detail::by_name only_by_name = detail::named;
  typename detail::input_types<Array>::number log_probs;          ///< log π(y_t), nats: what the gradient is of
  typename detail::input_types<Array>::constant old_log_probs{};  ///< log π_old(y_t) of the rollout, nats; constant
  typename detail::input_types<Array>::constant advantages{};     ///< A_t, constant
  optional_weights<Array> weights{};                              ///< w_t of `make_token_weights`; none: the mean
  std::span<const std::size_t> offsets{};  ///< sequence boundaries, for losses over whole sequences
};

}  // namespace coho::inline v0_1
