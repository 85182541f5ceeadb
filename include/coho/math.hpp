#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>

namespace coho::inline v0_1 {

/// Customisation point for operations that array types spell differently. Specialised for `float` and `double` here,
/// for Eigen arrays in <coho/eigen/as_array.hpp> and for `at::Tensor` in <coho/torch/ops.hpp>; the primary template is
/// left undefined so that a forgotten include cannot change what a program computes.
///
/// A specialisation has
///  (1) `plain`, the evaluated type of an expression; `scalar`, its number type, or the type itself if that is known
///      only at run time; `value`, the type of a sum (`double`, or a 0-d tensor);
///  (2) `host`, whether its elements can be read through a pointer in this process;
///  (3) static functions `min`, `max`, `clamp`, `where`, `sum`, `detach` with the meaning of the objects of those
///      names;
///  (4) if not `host`: `to_host(x)`, a copy as an Eigen array of double, and its inverse `from_host(array, like)`;
///      `sequence_sums(x, offsets)` and `sequence_spread(x, offsets)` with the meaning of the objects of
///      <coho/reduce.hpp>;
///  (5) optionally `blocks`, which evaluates a loss over tensors in host memory in one pass
///      (<coho/torch/tensor_blocks.hpp>).
template <class T>
struct array_traits;

/// A number or an array of numbers with elementwise arithmetic, for which `exp`, `log`, `log1p` and `abs` are found by
/// argument-dependent lookup. Integers are excluded: a loss over integers is a mistake.
template <class T>
concept array_like = requires { typename array_traits<std::remove_cvref_t<T>>::plain; };

/// A range of numbers without arithmetic, such as `std::vector<double>`. Converted to an array at the boundary.
template <class T>
concept scalar_range =
    !array_like<T> && std::ranges::input_range<T> && std::is_arithmetic_v<std::ranges::range_value_t<T>>;

/// The evaluated type of an array expression.
template <array_like T>
using plain_t = typename array_traits<std::remove_cvref_t<T>>::plain;

namespace detail {

/// Names the missing header before anything else can fail. Classes, because those are instantiated immediately.
template <class... Ts>
struct array_check {
  static_assert(
      ((array_like<Ts> || scalar_range<Ts>)&&...),
      "coho::array_traits is not specialised for this type. For at::Tensor include <coho/torch/ops.hpp>; for Eigen "
      "arrays include <coho/eigen/as_array.hpp>; ranges must hold numbers, and single numbers must be "
      "floating-point.");
  static constexpr bool passed = true;
};
/// For types that have arithmetic: ranges do not, and without their header Eigen arrays are only ranges.
template <class T>
struct operand_check {
  static_assert(
      array_like<T>,
      "coho::array_traits is not specialised for this type. For at::Tensor include <coho/torch/ops.hpp>; for Eigen "
      "arrays include <coho/eigen/as_array.hpp>; lift ranges by coho::as_array; numbers must be floating-point.");
  static constexpr bool passed = true;
};

template <class T>
concept floating_scalar = std::floating_point<std::remove_cvref_t<T>>;

// The array among the operands decides the type; numbers are broadcast.
template <class A, class B>
using leading_t =
    std::conditional_t<floating_scalar<A> && array_like<B>, std::remove_cvref_t<B>, std::remove_cvref_t<A>>;

}  // namespace detail

template <std::floating_point T>
struct array_traits<T> {
  using plain = T;
  using scalar = T;
  using value = double;
  static constexpr bool host = true;

  // NaN in either operand propagates, as for tensors. Comparisons are in the form that processors have an instruction
  // for: as branches, they would be mispredicted.
  static constexpr T min(T a, T b) noexcept {
    const T smaller = b < a ? b : a;
    return b != b ? b : smaller;
  }
  static constexpr T max(T a, T b) noexcept {
    const T larger = a < b ? b : a;
    return b != b ? b : larger;
  }
  // The bounds are rounded to T first; NaN stays NaN.
  static constexpr T clamp(T x, double low, double high) noexcept {
    const T l = static_cast<T>(low), h = static_cast<T>(high);
    const T raised = x < l ? l : x;
    return h < raised ? h : raised;
  }
  template <class A, class B>
  static constexpr auto where(bool condition, A a, B b) noexcept {
    using result = std::common_type_t<A, B>;
    return condition ? static_cast<result>(a) : static_cast<result>(b);
  }
  static constexpr double sum(T x) noexcept { return static_cast<double>(x); }
  static constexpr T detach(T x) noexcept { return x; }
};

struct min_fn {
  /// Elementwise minimum; NaN propagates. Either operand may be a number.
  template <class A, class B>
  constexpr auto operator()(const A& a, const B& b) const {
    static_assert(detail::operand_check<detail::leading_t<A, B>>::passed);
    return array_traits<detail::leading_t<A, B>>::min(a, b);
  }
};
struct max_fn {
  /// Elementwise maximum; NaN propagates. Either operand may be a number.
  template <class A, class B>
  constexpr auto operator()(const A& a, const B& b) const {
    static_assert(detail::operand_check<detail::leading_t<A, B>>::passed);
    return array_traits<detail::leading_t<A, B>>::max(a, b);
  }
};
struct clamp_fn {
  /// x limited to [low, high]; NaN propagates. On tensors the derivative is 1 inside and on the bounds, 0 outside.
  template <class A>
  constexpr auto operator()(const A& x, double low, double high) const {
    static_assert(detail::operand_check<A>::passed);
    return array_traits<std::remove_cvref_t<A>>::clamp(x, low, high);
  }
};
struct where_fn {
  /// a where the condition holds, otherwise b. If the condition is an array, at least one of a and b must be one.
  template <class Condition, class A, class B>
  constexpr auto operator()(const Condition& condition, const A& a, const B& b) const {
    static_assert(detail::operand_check<detail::leading_t<A, B>>::passed);
    return array_traits<detail::leading_t<A, B>>::where(condition, a, b);
  }
};
struct sum_fn {
  /// Sum of all elements, accumulated in double on the host.
  template <class A>
  constexpr auto operator()(const A& x) const {
    static_assert(detail::operand_check<A>::passed);
    return array_traits<std::remove_cvref_t<A>>::sum(x);
  }
};
struct detach_fn {
  /// The values as a constant for automatic differentiation.
  template <class A>
  constexpr auto operator()(const A& x) const {
    static_assert(detail::operand_check<A>::passed);
    return array_traits<std::remove_cvref_t<A>>::detach(x);
  }
};

inline constexpr min_fn min{};
inline constexpr max_fn max{};
inline constexpr clamp_fn clamp{};
inline constexpr where_fn where{};
inline constexpr sum_fn sum{};
inline constexpr detach_fn detach{};

struct softplus_fn {
  /// log(1 + eˣ) without overflow: max(x, 0) + log1p(e^−|x|).
  template <class A>
  auto operator()(const A& x) const {
    static_assert(detail::operand_check<A>::passed);
    using std::abs, std::exp, std::log1p;
    if constexpr (std::floating_point<A>) {
      return (x > 0 ? x : A(0)) + log1p(exp(-abs(x)));
    } else {
      return plain_t<A>(0.5 * (x + abs(x)) + log1p(exp(-abs(x))));
    }
  }
};
inline constexpr softplus_fn softplus{};

struct log_sigmoid_fn {
  /// log(1 / (1 + e^−x)) = −softplus(−x).
  template <class A>
  auto operator()(const A& x) const {
    static_assert(detail::operand_check<A>::passed);
    return plain_t<A>(-softplus(plain_t<A>(-x)));
  }
};
inline constexpr log_sigmoid_fn log_sigmoid{};

struct sigmoid_fn {
  /// 1 / (1 + e^−x) without overflow, accurate for small results.
  template <class A>
  auto operator()(const A& x) const {
    static_assert(detail::operand_check<A>::passed);
    using std::abs, std::exp;
    if constexpr (std::floating_point<A>) {
      const A e = exp(-abs(x));
      return (x < 0 ? e : A(1)) / (A(1) + e);
    } else {
      return plain_t<A>(exp(log_sigmoid(x)));
    }
  }
};
inline constexpr sigmoid_fn sigmoid{};

struct heaviside_fn {
  /// The Heaviside step: 1 above 0, 0 below, one half at 0 (the accuracy of a pair whose difference is x).
  template <class A>
  auto operator()(const A& x) const {
    static_assert(detail::operand_check<A>::passed);
    if constexpr (std::floating_point<A>) {
      return A(0.5) + A(0.5) * (static_cast<A>(x > 0) - static_cast<A>(x < 0));
    } else {
      using plain = plain_t<A>;
      const plain zero = 0.0 * x;
      return plain(coho::where(x > 0, plain(zero + 1.0), plain(coho::where(x < 0, zero, plain(zero + 0.5)))));
    }
  }
};
inline constexpr heaviside_fn heaviside{};

}  // namespace coho::inline v0_1
