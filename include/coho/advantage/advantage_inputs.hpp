#pragma once

#include <cstddef>
#include <span>

#include <coho/array_view.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// Named inputs of the token-level advantage estimators. `Array` is double (the default where only braces are written),
/// float, or a tensor type; arrays have one number per token.
///
///     coho::gae({.rewards = rewards, .values = values, .offsets = offsets}, {.lambda = 0.95});
///     coho::gae(coho::advantage_inputs<float>{.rewards = rewards, .values = values, .offsets = offsets});
template <class Array = double>
struct advantage_inputs {
  [[no_unique_address]] detail::by_name only_by_name = detail::named;
  typename detail::input_types<Array>::number rewards;     ///< r_t; results are of its type
  typename detail::input_types<Array>::constant values{};  ///< V_t, the estimate before y_t
  optional_mask<Array> mask{};                             ///< 0: not part of the response; none: all tokens count
  std::span<const std::size_t> offsets{};                  ///< sequence boundaries: N + 1 entries
};

namespace detail {

/// Tensors are copied to the host.
template <device_array Array>
advantage_inputs<double> host_inputs(const advantage_inputs<Array>& in) {
  return {
      .rewards = on_host(in.rewards), .values = on_host(in.values), .mask = host_mask(in.mask), .offsets = in.offsets};
}

}  // namespace detail
}  // namespace coho::inline v0_1
