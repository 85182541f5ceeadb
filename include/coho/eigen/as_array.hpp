#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/math.hpp>

namespace coho::inline v0_1 {

namespace detail {
template <class Derived>
void eigen_array_probe(const Eigen::ArrayBase<Derived>&);
template <class Derived>
void eigen_dense_probe(const Eigen::DenseBase<Derived>&);
}  // namespace detail

/// An Eigen array or array expression.
template <class T>
concept eigen_array = requires(const std::remove_cvref_t<T>& x) { detail::eigen_array_probe(x); };

/// Any dense Eigen object, matrices included.
template <class T>
concept eigen_dense = requires(const std::remove_cvref_t<T>& x) { detail::eigen_dense_probe(x); };

template <class T>
  requires(eigen_array<T> && !std::is_reference_v<T> && std::floating_point<typename T::Scalar>)
struct array_traits<T> {
  using plain = typename T::PlainObject;
  using scalar = typename T::Scalar;
  using value = double;
  static constexpr bool host = true;

  template <class A, class B>
  static plain min(const A& a, const B& b) {
    return broadcast(a, b).binaryExpr(broadcast(b, a),
                                      [](scalar x, scalar y) { return array_traits<scalar>::min(x, y); });
  }
  template <class A, class B>
  static plain max(const A& a, const B& b) {
    return broadcast(a, b).binaryExpr(broadcast(b, a),
                                      [](scalar x, scalar y) { return array_traits<scalar>::max(x, y); });
  }
  static plain clamp(const T& x, double low, double high) {
    return x.unaryExpr([low, high](scalar v) { return array_traits<scalar>::clamp(v, low, high); });
  }
  template <class Condition, class A, class B>
  static plain where(const Condition& condition, const A& a, const B& b) {
    return condition.select(broadcast(a, b), broadcast(b, a));
  }
  static double sum(const T& x) { return x.template cast<double>().sum(); }
  static plain detach(const T& x) { return x; }

 private:
  // The operand itself, or a number as an array of the shape of b.
  template <class A, class B>
  static decltype(auto) broadcast(const A& a, const B& b) {
    if constexpr (eigen_array<A>) {
      return (a);
    } else {
      return plain::Constant(b.rows(), b.cols(), static_cast<scalar>(a));
    }
  }
};

struct as_array_fn {
  /// An Eigen view of contiguous numbers, without a copy. Writable when the range is. The range must outlive the view.
  ///
  ///     std::vector<double> x{1, 2, 3};
  ///     coho::as_array(x) *= 2;
  template <class Range>
    requires(std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> && !eigen_dense<Range>)
  auto operator()(Range&& range) const {
    static_assert(std::ranges::borrowed_range<Range>,
                  "coho::as_array does not own: name the range, so that it outlives the view");
    using element = std::remove_reference_t<std::ranges::range_reference_t<Range>>;
    using array = Eigen::Array<std::remove_const_t<element>, Eigen::Dynamic, 1>;
    using map = std::conditional_t<std::is_const_v<element>, Eigen::Map<const array>, Eigen::Map<array>>;
    return map(std::ranges::data(range), static_cast<Eigen::Index>(std::ranges::size(range)));
  }
};
inline constexpr as_array_fn as_array{};

struct as_span_fn {
  /// A span over a stored Eigen vector or array: the form that models and communicators take.
  template <class Number, int Rows, int Columns, int Options>
  std::span<const Number> operator()(const Eigen::Array<Number, Rows, Columns, Options>& x) const noexcept {
    return {x.data(), static_cast<std::size_t>(x.size())};
  }
  template <class Number, int Rows, int Columns, int Options>
  std::span<Number> operator()(Eigen::Array<Number, Rows, Columns, Options>& x) const noexcept {
    return {x.data(), static_cast<std::size_t>(x.size())};
  }
  template <class Number, int Rows, int Columns, int Options>
  std::span<const Number> operator()(Eigen::Array<Number, Rows, Columns, Options>&&) const = delete;
};
inline constexpr as_span_fn as_span{};

namespace detail {

/// Whether the elements of T can be read through a pointer here: Eigen objects and ranges of numbers.
template <class T>
concept host_array = eigen_dense<T> || scalar_range<T>;

/// An array on a device or with automatic differentiation: array_like, but neither a number nor on the host.
template <class T>
concept device_array = array_like<T> && !array_traits<std::remove_cvref_t<T>>::host;

/// Contiguous elements of a host array: a span if they already are contiguous, otherwise an evaluated copy.
template <host_array T>
auto host_elements(const T& x) {
  if constexpr (eigen_dense<T>) {
    using derived = std::remove_cvref_t<T>;
    using scalar = typename derived::Scalar;
    static_assert(derived::IsVectorAtCompileTime, "coho: this algorithm takes one-dimensional arrays");
    if constexpr ((derived::Flags & Eigen::DirectAccessBit) != 0) {
      if constexpr (derived::InnerStrideAtCompileTime == 1) {
        return std::span<const scalar>(x.data(), static_cast<std::size_t>(x.size()));
      } else {
        return std::vector<scalar>(x.begin(), x.end());
      }
    } else {
      // A plain loop could evaluate each element twice; one evaluation into storage does not.
      std::vector<std::conditional_t<std::is_same_v<scalar, bool>, std::uint8_t, scalar>> out(
          static_cast<std::size_t>(x.size()));
      Eigen::Map<Eigen::Array<typename decltype(out)::value_type, Eigen::Dynamic, 1>> view(out.data(), x.size());
      if constexpr (derived::ColsAtCompileTime == 1) {
        view = x.derived().array().template cast<typename decltype(out)::value_type>();
      } else {
        view = x.derived().array().template cast<typename decltype(out)::value_type>().transpose();
      }
      return out;
    }
  } else if constexpr (std::ranges::contiguous_range<const T> && std::ranges::sized_range<const T>) {
    return std::span<const std::ranges::range_value_t<const T>>(std::ranges::data(x), std::ranges::size(x));
  } else {
    // Lazy views and std::vector<bool>.
    using number = std::ranges::range_value_t<T>;
    std::vector<std::conditional_t<std::is_same_v<number, bool>, std::uint8_t, number>> out;
    auto view = x;
    for (auto&& value : view) out.push_back(value);
    return out;
  }
}

template <class T>
struct host_number;
template <eigen_dense T>
struct host_number<T> {
  using type = typename T::Scalar;
};
template <scalar_range T>
  requires(!eigen_dense<T>)
struct host_number<T> {
  using type = std::ranges::range_value_t<T>;
};
/// The floating-point type of results over a host array: the array's type, or double for integers.
template <class T>
using host_number_t = std::conditional_t<std::floating_point<typename host_number<std::remove_cvref_t<T>>::type>,
                                         typename host_number<std::remove_cvref_t<T>>::type, double>;

/// What algorithms return for a one-dimensional host argument.
template <class Number>
using array_of = Eigen::Array<Number, Eigen::Dynamic, 1>;

/// Whether no number is NaN or infinite.
template <class Number>
bool all_finite(const array_of<Number>& x) noexcept {
  constexpr Eigen::Index part = 1024;
  Number defect = 0;
  for (Eigen::Index begin = 0; begin < x.size(); begin += part) {
    const auto some = x.segment(begin, std::min(part, x.size() - begin));
    defect += (some - some).sum();
  }
  return defect == 0;
}

}  // namespace detail
}  // namespace coho::inline v0_1
