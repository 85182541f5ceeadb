#pragma once

#include <array>
#include <cstddef>

#include <coho/eigen/as_array.hpp>
#include <coho/loss/detail/elementwise.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// Runs a loss that is a weighted sum of one formula over elements (tokens, pairs, examples): L = Σ_i w_i·f(x_i, …).
/// The author writes f once; the loss then takes numbers, arrays, ranges and tensors, weights, and masks, with
/// gradients and checks.
///
/// `Free`: the first `Free` of the `Inputs` arguments of f have gradients; the others are constants. The loss
/// has a public member
///
///     template <bool Gradient, class T>
///     coho::element_terms<T, Free, Measures> element(const T& input, …) const
///
/// that gives f of one element and, with `Gradient`, its derivatives with respect to the `Free` inputs and numbers
/// to average. T is double, or a tensor of all elements, or (tensors on the CPU, where the loss has `static
/// constexpr bool by_blocks = true`) a few adjacent elements: make choices by `coho::where`, with & and |
/// instead of && and ||.
///
/// Arguments may be numbers, which all elements share; the first may only if all are. Elements of weight 0 are not
/// read, and their gradient is 0. `names` are the inputs' names, for messages. Throws argument_error when lengths
/// differ or the loss is not finite (host arrays).
///
///     class squared_error {
///      public:
///       auto operator()(const auto& x, const auto& y) const { return frame.value(*this, x, y); }
///       template <bool Gradient, class T>
///       coho::element_terms<T, 1> element(const T& x, const T& y) const {
///         return {.value = T((x - y) * (x - y)), .slopes = {T(2.0 * (x - y))}};
///       }
///
///      private:
///       static constexpr coho::elementwise_loss<1, 2> frame{"squared_error", {"x", "y"}};
///     };
template <std::size_t Free, std::size_t Inputs>
class elementwise_loss {
 public:
  const char* who;                        ///< the name of the loss, for messages
  std::array<const char*, Inputs> names;  ///< … of its inputs

  /// f of one element if all inputs are numbers, else the mean over elements: double, or a differentiable 0-d tensor.
  template <class Loss, class First, class... Rest>
  auto value(const Loss& loss, const First& first, const Rest&... rest) const {
    static_assert(detail::array_check<First, Rest...>::passed);
    if constexpr (detail::floating_scalar<First> && (detail::floating_scalar<Rest> && ...)) {
      return loss.template element<false>(static_cast<double>(first), static_cast<double>(rest)...).value;
    } else {
      return evaluate<false>(loss, detail::no_weights{}, first, rest...).value;
    }
  }
  /// The weighted sum over elements; `weights` are `token_weights`, or the `optional_weights` of named inputs.
  template <class Loss, class Weights, class First, class... Rest>
  auto weighted_value(const Loss& loss, const Weights& weights, const First& first, const Rest&... rest) const {
    static_assert(detail::array_check<First, Rest..., decltype(weights.values)>::passed);
    return evaluate<false>(loss, weights, first, rest...).value;
  }

  /// The mean over elements with its gradients: an `elementwise_result`.
  template <class Loss, class First, class... Rest>
  auto value_and_grad(const Loss& loss, const First& first, const Rest&... rest) const {
    static_assert(detail::array_check<First, Rest...>::passed);
    static_assert(!detail::floating_scalar<First>, "coho: gradients are of arrays; give arrays of one element");
    return evaluate<true>(loss, detail::no_weights{}, first, rest...);
  }
  /// The weighted sum over elements with its gradients.
  template <class Loss, class Weights, class First, class... Rest>
  auto weighted_value_and_grad(const Loss& loss, const Weights& weights, const First& first,
                               const Rest&... rest) const {
    static_assert(detail::array_check<First, Rest..., decltype(weights.values)>::passed);
    return evaluate<true>(loss, weights, first, rest...);
  }

 private:
  // Tensors and host arrays have an implementation each; the first input decides.
  template <bool Gradient, class Loss, class Weights, class First, class... Rest>
  auto evaluate(const Loss& loss, const Weights& weights, const First& first, const Rest&... rest) const {
    if constexpr (detail::device_array<First>) {
      return detail::elementwise_tensors<Free, Gradient>(loss, who, names, weights, first, rest...);
    } else {
      return detail::elementwise_host<Free, Gradient>(loss, who, names, weights, first, rest...);
    }
  }
};

}  // namespace coho::inline v0_1
