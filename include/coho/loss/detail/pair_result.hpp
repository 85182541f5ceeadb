#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <coho/loss/detail/elementwise.hpp>

namespace coho::inline v0_1::detail {

/// The result of a loss over pairs, `Result{value, d_chosen, d_rejected, measures…}`, from that of `elementwise_loss`.
template <template <class, class> class Result, class Value, class Array, std::size_t Measures>
auto pair_result(elementwise_result<Value, Array, 2, Measures> from) {
  auto& [d_chosen, d_rejected] = from.gradients;
  return [&]<std::size_t... Ms>(std::index_sequence<Ms...>) {
    return Result<Value, Array>{from.value, std::move(d_chosen), std::move(d_rejected), from.measures[Ms]...};
  }(std::make_index_sequence<Measures>{});
}

}  // namespace coho::inline v0_1::detail
