#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/loss/detail/results.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>

namespace coho::inline v0_1 {

/// A formula at one element, of type T: value, derivatives, and measures to average.
template <class T, std::size_t Gradients, std::size_t Measures = 0>
struct element_terms {
  T value{};
  std::array<T, Gradients> slopes{};
  std::array<T, Measures> measures{};
};

/// Results of a whole loss: value, one gradient per free input (all in the first one's type), means of the
/// measures over the elements of nonzero weight, and their count.
template <class Value, class Array, std::size_t Free, std::size_t Measures>
struct elementwise_result {
  Value value{};
  std::array<Array, Free> gradients{};
  std::array<Value, Measures> measures{};
  Value count{};
};

}  // namespace coho::inline v0_1

/// The implementation of `elementwise_loss`.
namespace coho::inline v0_1::detail {

/// A number in place of a range: the same for each element.
struct repeated {
  double value;
  double operator[](std::size_t) const noexcept { return value; }
};

/// The elements of a host input: a `repeated` number, or an array of `size`. Throws argument_error, naming the input
/// `what` of the loss `who`, for another length.
template <class Input>
auto input_elements(const Input& input, std::size_t size, const char* who, const char* what) {
  if constexpr (floating_scalar<Input>) {
    return repeated{static_cast<double>(input)};
  } else {
    static_assert(host_array<Input>, "coho: tensors and arrays of the host cannot be mixed");
    auto elements = host_elements(input);
    check_lengths(size, elements.size(), who, what);
    return elements;
  }
}

/// Tensors of which some are in host memory: `array_traits<T>::blocks` (see that of at::Tensor) can run
/// a formula over them in one pass.
template <class T>
concept has_blocks = requires { typename array_traits<T>::blocks; };

/// A tensor input for operators: a constant of the optimisation unless it is `Free`; masked elements replaced; numbers
/// expanded in the number type of `like` (not of the weights: an integer mask would truncate them).
template <bool Free, class T, class Input>
T tensor_input(const Input& input, const T& like, const T* weights) {
  if constexpr (floating_scalar<Input>) {
    return like.new_full(like.sizes(), static_cast<double>(input));
  } else {
    const T x = Free ? T(input) : T(coho::detach(input));
    return weights == nullptr ? x : T(coho::where(*weights != 0, x, 0.0));
  }
}

/// Throws argument_error unless a tensor input has the shape of `like`; numbers fit any shape.
template <class T, class Input>
void check_tensor_input(const Input& input, const T& like, const char* who, const char* what) {
  if constexpr (!floating_scalar<Input>) {
    static_assert(device_array<Input>, "coho: tensors and arrays of the host cannot be mixed");
    check_lengths(static_cast<std::size_t>(like.numel()), static_cast<std::size_t>(input.numel()), who, what);
    check_same_shape(like, input, who);
  }
}

/// Without weights: the mean.
struct no_weights {};

/// The result of a loss from the terms of all elements, with the tensor's own operators: the value, and with `Gradient`
/// gradients, measures and count. `weights`: null for the mean.
template <bool Gradient, class Result, class Terms, class T>
Result reduce_by_operators(const Terms& terms, const T& like, const T* weights) {
  const double size = static_cast<double>(std::max<std::int64_t>(like.numel(), 1));
  const auto weighted = [&](const T& x) { return weights == nullptr ? T(x / size) : T(*weights * x); };
  Result result;
  result.value = weights == nullptr ? coho::sum(terms.value) / size : coho::sum(weighted(terms.value));
  if constexpr (Gradient) {
    for (std::size_t k = 0; k < result.gradients.size(); ++k) result.gradients[k] = weighted(terms.slopes[k]);
    const T real = weights == nullptr ? T() : T((*weights != 0).to(weights->scalar_type()));
    result.count = weights == nullptr ? like.new_full({}, static_cast<double>(like.numel())) : coho::sum(real);
    for (std::size_t k = 0; k < result.measures.size(); ++k) {
      const auto& measure = terms.measures[k];
      result.measures[k] = coho::sum(weights == nullptr ? measure : T(real * measure)) / coho::max(result.count, 1.0);
    }
  }
  return result;
}

/// A loss over tensors: in one pass if its formula allows that (`by_blocks`) and the tensors are in host memory, else
/// by operators. With `Gradient` all inputs are constants and gradients are in closed form; without, autograd sees the
/// first `Free` inputs.
template <std::size_t Free, bool Gradient, class Loss, class Names, class T, class First, class... Rest>
auto elementwise_tensor_result(const Loss& loss, const char* who, const Names& names, const T* weights,
                               const First& first, const Rest&... rest) {
  static_assert(std::is_same_v<T, First>, "coho: tensors and arrays of the host cannot be mixed");
  const T& like = weights == nullptr ? first : *weights;
  const auto formula = [loss]<bool Slopes, class... Ts>(std::bool_constant<Slopes>, const Ts&... inputs) {
    return loss.template element<Slopes>(inputs...);
  };
  return [&]<std::size_t... Is>(std::index_sequence<Is...>) {
    check_tensor_input(first, like, who, names[0]);
    (check_tensor_input(rest, like, who, names[Is + 1]), ...);
    using terms_type =
        decltype(formula(std::bool_constant<Gradient>{}, first, tensor_input<false>(rest, first, weights)...));
    using result_type = elementwise_result<value_of<T>, T, Free, std::tuple_size_v<decltype(terms_type::measures)>>;
    if constexpr (has_blocks<T> && requires { requires Loss::by_blocks; }) {
      using blocks = typename array_traits<T>::blocks;
      if (blocks::can_run(weights, first, rest...)) {
        return blocks::template run<result_type, Free, Gradient>(formula, weights, first, rest...);
      }
    }
    constexpr bool constant = Gradient;
    return reduce_by_operators<Gradient, result_type>(
        formula(std::bool_constant<Gradient>{}, tensor_input<!constant>(first, first, weights),
                tensor_input<(!constant && Is + 1 < Free)>(rest, first, weights)...),
        like, weights);
  }(std::index_sequence_for<Rest...>{});
}

/// `elementwise_loss` for tensors: finds out whether there are weights, and runs `elementwise_tensor_result`.
template <std::size_t Free, bool Gradient, class Loss, class Names, class Weights, class First, class... Rest>
auto elementwise_tensors(const Loss& loss, const char* who, const Names& names, const Weights& weights,
                         const First& first, const Rest&... rest) {
  const First* given = nullptr;
  if constexpr (!std::is_same_v<Weights, no_weights>) {
    static_assert(std::is_convertible_v<decltype(&weights.values), const First*>,
                  "coho: tensors and arrays of the host cannot be mixed");
    if (weights_given(weights)) given = &weights.values;
  }
  return elementwise_tensor_result<Free, Gradient>(loss, who, names, given, first, rest...);
}

/// A loss over host elements, in one loop that skips weights of 0 and throws argument_error if the sum is not finite.
/// Sums are locals and the loss is a copy, so that the compiler knows that stores into gradients do not change them.
template <std::size_t Free, bool Gradient, class Number, class Loss, class Weights, class... Elements>
auto elementwise_loop(const Loss& shared_loss, const char* who, const Weights& weights, const Elements&... inputs) {
  using terms_type = decltype(shared_loss.template element<Gradient>(static_cast<double>(inputs[0])...));
  constexpr std::size_t measures = std::tuple_size_v<decltype(terms_type::measures)>;
  const Loss loss = shared_loss;
  const std::size_t size = weights.size();
  elementwise_result<double, array_of<Number>, Free, measures> result{};
  std::array<Number*, Free> to{};
  if constexpr (Gradient) {
    for (std::size_t k = 0; k < Free; ++k) {
      result.gradients[k].resize(static_cast<Eigen::Index>(size));
      to[k] = result.gradients[k].data();
    }
  }
  double value = 0, count = 0;
  std::array<double, measures> sums{};
  // Folds, not loops: otherwise an element's terms would go through memory.
  [&]<std::size_t... Fs, std::size_t... Ms>(std::index_sequence<Fs...>, std::index_sequence<Ms...>) {
    for (std::size_t i = 0; i < size; ++i) {
      const double weight = static_cast<double>(weights[i]);
      if (weight == 0) {
        if constexpr (Gradient) ((std::get<Fs>(to)[i] = Number(0)), ...);
        continue;
      }
      const auto terms = loss.template element<Gradient>(static_cast<double>(inputs[i])...);
      value += weight * terms.value;
      if constexpr (Gradient) {
        ((std::get<Fs>(to)[i] = static_cast<Number>(weight * std::get<Fs>(terms.slopes))), ...);
        count += 1;
        ((std::get<Ms>(sums) += std::get<Ms>(terms.measures)), ...);
      }
    }
  }(std::make_index_sequence<Free>{}, std::make_index_sequence<measures>{});
  require_finite(value, who);
  result.value = value;
  result.count = count;
  for (std::size_t k = 0; k < measures; ++k) result.measures[k] = sums[k] / std::max(count, 1.0);
  return result;
}

/// `elementwise_loss` for host arrays: checks the lengths of the inputs and runs `elementwise_loop`.
template <std::size_t Free, bool Gradient, class Loss, class Names, class Weights, class First, class... Rest>
auto elementwise_host(const Loss& loss, const char* who, const Names& names, const Weights& weights, const First& first,
                      const Rest&... rest) {
  const auto elements = host_elements(first);
  const std::size_t size = elements.size();
  const auto weighted = [&]<std::size_t... Is>(const auto& weight, std::index_sequence<Is...>) {
    return elementwise_loop<Free, Gradient, host_number_t<First>>(loss, who, weight, elements,
                                                                  input_elements(rest, size, who, names[Is + 1])...);
  };
  constexpr std::index_sequence_for<Rest...> positions;
  if constexpr (!std::is_same_v<Weights, no_weights>) {
    if (weights_given(weights)) return weighted(input_elements(weights.values, size, who, "weights"), positions);
  }
  return weighted(mean_weights(size), positions);
}

}  // namespace coho::inline v0_1::detail
