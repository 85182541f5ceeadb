#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>

#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>

/// Result types of losses by argument type, and shared checks and weights.
namespace coho::inline v0_1::detail {

/// A sum and a gradient per token; `value_of<T>` is double on the host and a 0-d tensor for tensors.
template <class T>
struct loss_value {
  using type = double;
};
template <device_array T>
struct loss_value<T> {
  using type = typename array_traits<T>::value;
};
template <class T>
struct loss_array {
  using type = array_of<host_number_t<T>>;
};
template <device_array T>
struct loss_array<T> {
  using type = plain_t<T>;
};
template <floating_scalar T>
struct loss_array<T> {
  using type = T;
};
/// The scalar results of a loss over arrays of T.
template <class T>
using value_of = typename loss_value<std::remove_cvref_t<T>>::type;
/// The gradient of a loss with respect to an argument of type T.
template <class T>
using gradient_of = typename loss_array<std::remove_cvref_t<T>>::type;

/// Equal weights of n elements.
struct mean_weights {
  std::size_t count;
  double weight;
  explicit mean_weights(std::size_t n) : count(n), weight(n == 0 ? 0 : 1 / static_cast<double>(n)) {}
  std::size_t size() const noexcept { return count; }
  double operator[](std::size_t) const noexcept { return weight; }
};

/// `mean_weights` as an array; of a tensor, as a tensor of its shape, type and device.
inline array_of<double> equal_weights(std::size_t n) {
  return array_of<double>::Constant(static_cast<Eigen::Index>(n), mean_weights(n).weight);
}
template <device_array T>
T equal_weights(const T& like) {
  return like.new_full(like.sizes(), mean_weights(static_cast<std::size_t>(like.numel())).weight);
}

/// Whether a loss was given weights; named inputs may omit them.
template <class Weights>
bool weights_given(const Weights& weights) noexcept {
  if constexpr (requires { weights.given; }) return weights.given;
  return true;
}

/// The error of a loss, named `who`, that is NaN or infinite.
[[noreturn]] inline void throw_not_finite(const char* who) {
  throw argument_error(std::string(who) + ": the loss is not finite; a token of nonzero weight holds NaN or infinity");
}
/// Throws `throw_not_finite` unless the value is finite.
/// Kept small for inlining: a call after a loop can cost the loop the register of its sum.
inline void require_finite(double value, const char* who) {
  if (!std::isfinite(value)) throw_not_finite(who);
}

/// The input with every token of weight 0 replaced, so that masked NaN reaches neither values nor gradients.
template <class Tensor>
Tensor without_masked(const Tensor& x, const token_weights<Tensor>& weights) {
  check_same_shape(weights.values, x, "a loss");
  return coho::where(weights.values != 0, x, 0.0);
}

}  // namespace coho::inline v0_1::detail
