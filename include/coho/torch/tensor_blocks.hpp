#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <coho/error.hpp>
#include <coho/torch/detail/simd_lanes.hpp>

/// Losses over float or double tensors in host memory: one pass over their elements instead of one per operator. For
/// authors of array types; users need only <coho/torch/ops.hpp>.
namespace coho::inline v0_1::detail {

/// A loss and its gradients as computed; backward scales the gradients.
struct closed_form {
  at::Tensor value;
  std::vector<at::Tensor> gradients;
};
/// The autograd node of a loss whose gradients are known.
struct closed_form_function : torch::autograd::Function<closed_form_function> {
  /// The loss as computed; the inputs are arguments only to be known to autograd.
  static at::Tensor forward(torch::autograd::AutogradContext* context, at::TensorList, const closed_form& loss) {
    context->save_for_backward(loss.gradients);
    return loss.value;
  }
  /// The gradients times that of the loss.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list outer) {
    require_argument(!at::GradMode::is_enabled(),
                     "coho: a loss of tensors on the CPU has no second derivative; call backward without create_graph");
    torch::autograd::variable_list out = context->get_saved_variables();
    for (at::Tensor& gradient : out) gradient = gradient * outer[0];
    out.emplace_back();  // of `loss`
    return out;
  }
};

/// `array_traits<at::Tensor>::blocks`.
struct tensor_blocks {
  /// Whether the single pass gives what the operators would: all on the host in one number type (except integer masks
  /// and counts), possibly with plain numbers, and no gradient with respect to the weights requested.
  template <class First, class... Rest>
  static bool can_run(const at::Tensor* weights, const First& first, const Rest&... rest) {
    if (!first.defined() || (first.scalar_type() != at::kFloat && first.scalar_type() != at::kDouble)) return false;
    if (weights != nullptr && (!directly_readable(*weights, first) || needs_gradient(*weights))) return false;
    return directly_readable(first, first) && (directly_readable(rest, first) && ...);
  }

  /// The weighted sum (mean without weights) of a formula over all elements. `formula(std::bool_constant<Gradient>,
  /// x…)` returns `element_terms`. With `Gradient` the result has gradients and measures and is constant; without, its
  /// value is differentiable, once, in the first `Free` inputs that require it.
  template <class Result, std::size_t Free, bool Gradient, class Formula, class First, class... Rest>
  static Result run(const Formula& formula, const at::Tensor* weights, const First& first, const Rest&... rest) {
    if (first.scalar_type() == at::kDouble) {
      return run_typed<double, Result, Free, Gradient>(formula, weights, first, rest...);
    }
    return run_typed<float, Result, Free, Gradient>(formula, weights, first, rest...);
  }

 private:
  // Whether the numbers of an input are in memory as they are: a strided CPU tensor without views that change them, of
  // the type of `like` or of integers. Plain numbers are.
  template <class Input>
  static bool directly_readable(const Input& x, const at::Tensor& like) {
    if constexpr (std::is_arithmetic_v<Input>) {
      return true;
    } else {
      return x.device().is_cpu() && x.layout() == at::kStrided && x.has_storage() && !x.is_neg() &&
             !x._is_zerotensor() && !x._fw_grad(0).defined() && !x.key_set().has(c10::DispatchKey::Python) &&
             (x.scalar_type() == like.scalar_type() || at::isIntegralType(x.scalar_type(), true));
    }
  }
  // Whether autograd expects the input's gradient from this call.
  template <class Input>
  static bool needs_gradient(const Input& x) {
    if constexpr (std::is_arithmetic_v<Input>) {
      return false;
    } else {
      return x.requires_grad() && at::GradMode::is_enabled();
    }
  }

  // The numbers of an input, or one for all elements.
  template <class Number>
  struct input_numbers {
    at::Tensor held;
    const Number* numbers = nullptr;
    simd_lanes<Number> constant;

    input_numbers(const at::Tensor& x, at::ScalarType type)
        : held(x.detach().to(type).contiguous()), numbers(held.data_ptr<Number>()) {}
    input_numbers(double x, at::ScalarType) : constant(x) {}

    // Passed by value into the loop; otherwise each store of a gradient could alias it.
    struct view {
      const Number* numbers;
      simd_lanes<Number> constant;
      [[gnu::always_inline]] simd_lanes<Number> load(std::size_t begin, std::size_t count) const {
        return numbers == nullptr ? constant : simd_lanes<Number>::load(numbers + begin, count);
      }
    };
    operator view() const { return {numbers, constant}; }
  };
  template <class Number, class>
  using input_view = typename input_numbers<Number>::view;

  template <std::size_t Measures>
  struct totals {
    double value = 0, count = 0;
    std::array<double, Measures> measures{};
  };

  // `run` in one number type: allocates the gradients that are wanted, sums the terms, and wraps the value for autograd
  // if any input needs its gradient.
  template <class Number, class Result, std::size_t Free, bool Gradient, class Formula, class First, class... Rest>
  static Result run_typed(const Formula& formula, const at::Tensor* weights, const First& first, const Rest&... rest) {
    const at::TensorOptions options = first.options().requires_grad(false);
    Result result;
    std::vector<at::Tensor> wanted, gradients;
    std::array<Number*, Free> to{};
    const auto prepare = [&](std::size_t k, const auto& input) {
      if (k >= Free || !(Gradient || needs_gradient(input))) return;
      gradients.push_back(at::empty(first.sizes(), options));
      to[k] = gradients.back().template data_ptr<Number>();
      if constexpr (Gradient) {
        result.gradients[k] = gradients.back();
      } else if constexpr (!std::is_arithmetic_v<std::remove_cvref_t<decltype(input)>>) {
        wanted.push_back(input);
      }
    };
    std::size_t position = 0;
    prepare(position++, first);
    (prepare(position++, rest), ...);

    const auto sums_of = [&](auto slopes) {
      const auto size = static_cast<std::size_t>(first.numel());
      const at::ScalarType type = first.scalar_type();
      const auto over = [&](auto weighted, const input_numbers<Number>& weight) {
        return sum_terms<Number, Free, decltype(slopes)::value, Gradient, decltype(weighted)::value, Formula, First,
                         Rest...>(formula, weight, size, to, input_numbers<Number>(first, type),
                                  input_numbers<Number>(rest, type)...);
      };
      if (weights != nullptr) return over(std::true_type{}, input_numbers<Number>(*weights, type));
      return over(std::false_type{}, input_numbers<Number>(1.0 / std::max(1.0, static_cast<double>(size)), type));
    };
    const auto place = [&](double x) { return at::scalar_tensor(x, options); };
    if constexpr (Gradient) {
      const auto sums = sums_of(std::true_type{});
      result.value = place(sums.value);
      result.count = place(sums.count);
      for (std::size_t k = 0; k < sums.measures.size(); ++k) {
        result.measures[k] = place(sums.measures[k] / std::max(sums.count, 1.0));
      }
    } else if (wanted.empty()) {
      result.value = place(sums_of(std::false_type{}).value);
    } else {
      const closed_form loss{place(sums_of(std::true_type{}).value), std::move(gradients)};
      result.value = closed_form_function::apply(at::TensorList(wanted), loss);
    }
    return result;
  }

  // One pass: the sums over all elements, and each element's weighted slopes to `to` where that is not null. Sums are
  // in double, in one order whatever the number of libtorch's threads.
  template <class Number, std::size_t Free, bool Slopes, bool Measured, bool Weighted, class Formula, class... Inputs>
  [[gnu::noinline]] static auto sum_terms(const Formula formula, const typename input_numbers<Number>::view weights,
                                          const std::size_t size, const std::array<Number*, Free> to,
                                          const input_view<Number, Inputs>... inputs) {
    using vector = simd_lanes<Number>;
    using wide = typename vector::wide;
    using terms_type = decltype(formula(std::bool_constant<Slopes>{}, inputs.load(0, 0)...));
    constexpr std::size_t measures = std::tuple_size_v<decltype(terms_type::measures)>;
    wide value{}, real{};
    std::array<wide, measures> sums{};
    const auto some = [&](auto last, std::size_t begin, std::size_t count) __attribute__((always_inline)) {
      constexpr bool masked = Weighted || decltype(last)::value;
      vector weight = weights.load(begin, count);
      // Past the end, weights are 0.
      for (std::size_t k = count; masked && k < vector::count; ++k) weight.numbers[k] = 0;
      const auto kept = [&](const vector& x) { return masked ? vector::choose(weight != 0.0, x, 0.0) : x; };
      const auto terms = formula(std::bool_constant<Slopes>{}, kept(inputs.load(begin, count))...);
      value += __builtin_convertvector(kept(weight * terms.value).numbers, wide);
      if constexpr (Slopes) {
        for (std::size_t k = 0; k < Free; ++k) {
          if (to[k] != nullptr) kept(weight * terms.slopes[k]).store(to[k] + begin, count);
        }
      }
      if constexpr (Measured) {
        real += __builtin_convertvector(kept(1.0).numbers, wide);
        for (std::size_t k = 0; k < measures; ++k) {
          sums[k] += __builtin_convertvector(kept(terms.measures[k]).numbers, wide);
        }
      }
    };
    const std::size_t whole = size - size % vector::count;
    for (std::size_t begin = 0; begin < whole; begin += vector::count) some(std::false_type{}, begin, vector::count);
    if (whole < size) some(std::true_type{}, whole, size - whole);
    totals<measures> out;
    for (std::size_t k = 0; k < vector::count; ++k) {
      out.value += value[k];
      out.count += real[k];
      for (std::size_t m = 0; m < measures; ++m) out.measures[m] += sums[m][k];
    }
    return out;
  }
};

}  // namespace coho::inline v0_1::detail
