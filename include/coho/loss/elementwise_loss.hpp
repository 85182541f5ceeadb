#pragma once

#include <algorithm>
#include <array>
#include <coho/eigen/as_array.hpp>
#include <coho/error.hpp>
#include <coho/loss/token_loss.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

/// The frame of losses that are a weighted sum of one formula an element (a token, a pair, an example). For writers of
/// losses: a loss gives the formula of one element, and gets numbers, arrays, ranges and tensors, weights, masks,
/// gradients and checks.
///
/// The loss has a member `template <bool Gradient, class T> auto element(const T&... inputs) const` that returns an
/// `element_terms<T, Gradients, Measures>`: the element's loss, with `Gradient` its derivatives with respect to the
/// first inputs, and numbers worth averaging. T is double, a few elements side by side (tensors on the CPU,
/// where the loss says `static constexpr bool by_blocks = true`), or a tensor of all elements: choices are made by
/// coho::where, with & | and not && ||.
namespace coho::detail {

template <class T, std::size_t Gradients, std::size_t Measures = 0>
struct element_terms {
  T value{};
  std::array<T, Gradients> slopes{};
  std::array<T, Measures> measures{};
};

/// Of a whole loss: its value, one gradient for each of the first inputs (all in the first one's type), means of the
/// measures over the elements of nonzero weight, and how many those are.
template <class Value, class Array, std::size_t Free, std::size_t Measures>
struct elementwise_result {
  Value value{};
  std::array<Array, Free> gradients{};
  std::array<Value, Measures> measures{};
  Value count{};
};

/// A number where a range is expected: the same for each element.
struct repeated {
  double value;
  double operator[](std::size_t) const noexcept { return value; }
};

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

/// Tensors of which some lie in memory of the host: `array_traits<T>::blocks` (that of at::Tensor is the model) can run
/// a formula over them in one pass.
template <class T>
concept has_blocks = requires { typename array_traits<T>::blocks; };

/// A tensor input for operators: a constant of the optimisation unless it is `Free`; masked elements replaced; numbers
/// spread in the number type of `like` (not of the weights: a mask of integers would cut them off).
template <bool Free, class T, class Input>
T device_input(const Input& input, const T& like, const T* weights) {
  if constexpr (floating_scalar<Input>) {
    return like.new_full(like.sizes(), static_cast<double>(input));
  } else {
    const T x = Free ? T(input) : T(coho::detach(input));
    return weights == nullptr ? x : T(coho::where(*weights != 0, x, 0.0));
  }
}

template <class T, class Input>
void check_device_input(const Input& input, const T& like, const char* who, const char* what) {
  if constexpr (!floating_scalar<Input>) {
    static_assert(device_array<Input>, "coho: tensors and arrays of the host cannot be mixed");
    check_lengths(static_cast<std::size_t>(like.numel()), static_cast<std::size_t>(input.numel()), who, what);
    check_same_shape(like, input, who);
  }
}

/// Runs a loss. `names` are those of the inputs after the first, for messages; `Free` inputs have gradients.
template <std::size_t Free, std::size_t Inputs>
class elementwise {
 public:
  const char* who;
  std::array<const char*, Inputs> names;

  /// Of one element if all inputs are numbers, else the mean.
  template <class Loss, class First, class... Rest>
  auto value(const Loss& loss, const First& first, const Rest&... rest) const {
    static_assert(array_check<First, Rest...>::passed);
    if constexpr (floating_scalar<First> && (floating_scalar<Rest> && ...)) {
      return loss.template element<false>(static_cast<double>(first), static_cast<double>(rest)...).value;
    } else if constexpr (device_array<First>) {
      return on_device<false>(loss, static_cast<const First*>(nullptr), first, rest...).value;
    } else {
      return host<false>(loss, mean_weights(host_elements(first).size()), first, rest...).value;
    }
  }
  template <class Loss, class Weights, class First, class... Rest>
  auto weighted_value(const Loss& loss, const token_weights<Weights>& weights, const First& first,
                      const Rest&... rest) const {
    static_assert(array_check<First, Rest..., Weights>::passed);
    if constexpr (device_array<First>) {
      return on_device<false>(loss, &weights.values, first, rest...).value;
    } else {
      return host<false>(loss, input_elements(weights.values, host_elements(first).size(), who, "weights"), first,
                         rest...)
          .value;
    }
  }

  template <class Loss, class First, class... Rest>
  auto value_and_grad(const Loss& loss, const First& first, const Rest&... rest) const {
    static_assert(array_check<First, Rest...>::passed);
    static_assert(!floating_scalar<First>, "coho: gradients are of arrays; give arrays of one element");
    if constexpr (device_array<First>) {
      return on_device<true>(loss, static_cast<const First*>(nullptr), first, rest...);
    } else {
      return host<true>(loss, mean_weights(host_elements(first).size()), first, rest...);
    }
  }
  template <class Loss, class Weights, class First, class... Rest>
  auto weighted_value_and_grad(const Loss& loss, const token_weights<Weights>& weights, const First& first,
                               const Rest&... rest) const {
    static_assert(array_check<First, Rest..., Weights>::passed);
    if constexpr (device_array<First>) {
      return on_device<true>(loss, &weights.values, first, rest...);
    } else {
      return host<true>(loss, input_elements(weights.values, host_elements(first).size(), who, "weights"), first,
                        rest...);
    }
  }

 private:
  // Without weights, the mean.
  template <bool Gradient, class Loss, class T, class First, class... Rest>
  auto on_device(const Loss& loss, const T* weights, const First& first, const Rest&... rest) const {
    static_assert(std::is_same_v<T, First>, "coho: tensors and arrays of the host cannot be mixed");
    const T& like = weights == nullptr ? first : *weights;
    const auto formula = [loss]<bool Slopes, class... Ts>(std::bool_constant<Slopes>, const Ts&... inputs) {
      return loss.template element<Slopes>(inputs...);
    };
    return [&]<std::size_t... Is>(std::index_sequence<Is...>) {
      check_device_input(first, like, who, names[0]);
      (check_device_input(rest, like, who, names[Is + 1]), ...);
      using terms_type =
          decltype(formula(std::bool_constant<Gradient>{}, first, device_input<false>(rest, first, weights)...));
      using result_type = elementwise_result<value_of<T>, T, Free, std::tuple_size_v<decltype(terms_type::measures)>>;
      if constexpr (has_blocks<T> && requires { requires Loss::by_blocks; }) {
        using blocks = typename array_traits<T>::blocks;
        if (blocks::readable(weights, first, rest...)) {
          return blocks::template run<result_type, Free, Gradient>(formula, weights, first, rest...);
        }
      }
      constexpr bool constant = Gradient;
      return by_operators<Gradient, result_type>(
          formula(std::bool_constant<Gradient>{}, device_input<!constant>(first, first, weights),
                  device_input<(!constant && Is + 1 < Free)>(rest, first, weights)...),
          like, weights);
    }(std::index_sequence_for<Rest...>{});
  }

  template <bool Gradient, class Result, class Terms, class T>
  static Result by_operators(const Terms& terms, const T& like, const T* weights) {
    const double size = static_cast<double>(std::max<std::int64_t>(like.numel(), 1));
    const auto weighted = [&](const T& x) { return weights == nullptr ? T(x / size) : T(*weights * x); };
    Result result;
    result.value = weights == nullptr ? coho::sum(terms.value) / size : coho::sum(weighted(terms.value));
    if constexpr (Gradient) {
      for (std::size_t k = 0; k < Free; ++k) result.gradients[k] = weighted(terms.slopes[k]);
      const T real = weights == nullptr ? T() : T((*weights != 0).to(weights->scalar_type()));
      result.count = weights == nullptr ? like.new_full({}, static_cast<double>(like.numel())) : coho::sum(real);
      for (std::size_t k = 0; k < result.measures.size(); ++k) {
        const auto& measure = terms.measures[k];
        result.measures[k] = coho::sum(weights == nullptr ? measure : T(real * measure)) / coho::max(result.count, 1.0);
      }
    }
    return result;
  }

  template <bool Gradient, class Loss, class Weights, class First, class... Rest>
  auto host(const Loss& loss, const Weights& weights, const First& first, const Rest&... rest) const {
    return [&]<std::size_t... Is>(std::index_sequence<Is...>) {
      return loop<Gradient, host_number_t<First>>(loss, weights, input_elements(first, weights.size(), who, names[0]),
                                                  input_elements(rest, weights.size(), who, names[Is + 1])...);
    }(std::index_sequence_for<Rest...>{});
  }

  // Sums are locals and the loss is a copy, so that no store into a gradient can be taken for a change of them.
  template <bool Gradient, class Number, class Loss, class Weights, class... Elements>
  auto loop(const Loss& shared_loss, const Weights& weights, const Elements&... inputs) const {
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
    // Folds, not loops: else the terms of an element would go through memory.
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
};

}  // namespace coho::detail
