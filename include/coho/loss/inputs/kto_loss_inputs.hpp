#pragma once

#include <limits>

#include <coho/array_view.hpp>

namespace coho::inline v0_1 {

/// Named inputs of `kto_loss`. `Array` is double (the default where only braces are written), float, or a tensor type;
/// arrays have one number per response.
///
///     loss.value_and_grad({.log_probs = log_probs, .reference_log_probs = reference, .desirable = desirable,
///                          .kl_baseline = baseline});
template <class Array = double>
struct kto_loss_inputs {
  [[no_unique_address]] detail::by_name only_by_name = detail::named;
  typename detail::input_types<Array>::number log_probs;  ///< log π(y_i) of whole responses, nats; sums over tokens
  typename detail::input_types<Array>::constant reference_log_probs{};  ///< log π_ref(y_i), constant
  typename detail::input_types<Array>::any_number desirable{};          ///< nonzero: y_i is desirable
  double kl_baseline = std::numeric_limits<double>::quiet_NaN();        ///< z0 of `kto_baseline`; must be given
  optional_weights<Array> weights{};  ///< one factor per response, 0 drops it; none: the mean
};

}  // namespace coho::inline v0_1
