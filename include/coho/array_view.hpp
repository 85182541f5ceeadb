#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/check_lengths.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/math.hpp>
#include <coho/reduce.hpp>

/// The member types of named inputs (`policy_loss_inputs`, `advantage_inputs`, …).
namespace coho::inline v0_1 {

namespace detail {

/// Inputs derive their first member from it: positional initialisation, `{a, b}`, does not compile.
struct by_name {
  struct key {};
  constexpr explicit by_name(key) noexcept {}
};
inline constexpr by_name named{by_name::key{}};

/// The number type of an array's own elements.
template <class Array>
using own_number_t = typename host_number<std::remove_cvref_t<Array>>::type;

}  // namespace detail

/// A read-only Eigen array over the elements of an Eigen array or expression, or of a range of floating-point numbers.
/// Named arrays are viewed and must outlive the view; temporaries and expressions are kept in it. It has the arithmetic
/// of `Eigen::ArrayXd` (`ArrayXf`) and converts to it.
template <class Number>
class array_view : public Eigen::Map<const Eigen::Array<Number, Eigen::Dynamic, 1>> {
  using map = Eigen::Map<const Eigen::Array<Number, Eigen::Dynamic, 1>>;

 public:
  using value_type = Number;

  array_view() : map(nullptr, 0) {}
  template <class Array>
    requires(detail::host_array<Array> && !std::is_base_of_v<array_view, std::remove_cvref_t<Array>>)
  array_view(Array&& array)  // NOLINT: arrays are viewed without being asked to
      : array_view(view_or_copy(std::forward<Array>(array))) {}
  array_view(const array_view&) = default;
  // A map assigns elements.
  array_view& operator=(const array_view&) = delete;

  const Number* begin() const noexcept { return this->data(); }
  const Number* end() const noexcept { return this->data() + this->size(); }

 private:
  // Elements, and who keeps them alive.
  struct viewed_elements {
    const Number* data;
    std::size_t size;
    std::shared_ptr<const void> owner;
  };
  explicit array_view(viewed_elements from)
      : map(from.data, static_cast<Eigen::Index>(from.size)), owner_(std::move(from.owner)) {}

  // Whether the elements live only as long as the argument: those of a temporary that is not a view.
  template <class Array>
  static consteval bool dies_with_argument() {
    using plain = std::remove_cvref_t<Array>;
    if constexpr (std::is_lvalue_reference_v<Array>) {
      return false;
    } else if constexpr (eigen_dense<plain>) {
      return std::is_same_v<plain, typename plain::PlainObject>;
    } else {
      return !std::ranges::borrowed_range<plain>;
    }
  }
  // The elements where they are, if their type is Number and they outlive the call; otherwise a copy, in which flags
  // are 0 or 1.
  template <class Array>
  static viewed_elements view_or_copy(Array&& array) {
    const auto elements = detail::host_elements(array);
    if constexpr (!std::is_same_v<decltype(elements), const std::span<const Number>>) {
      std::vector<Number> numbers(elements.size());
      for (std::size_t i = 0; i < elements.size(); ++i) {
        if constexpr (std::is_same_v<Number, std::uint8_t>) {
          numbers[i] = elements[i] != 0;  // flags
        } else {
          numbers[i] = static_cast<Number>(elements[i]);
        }
      }
      return keep(std::move(numbers));
    } else if constexpr (dies_with_argument<Array>()) {
      return keep(std::forward<Array>(array));
    } else {
      return {elements.data(), elements.size(), nullptr};
    }
  }
  // Moves the array into storage that copies of the view share.
  template <class Array>
  static viewed_elements keep(Array&& array) {
    auto storage = std::make_shared<const std::remove_cvref_t<Array>>(std::forward<Array>(array));
    return {storage->data(), static_cast<std::size_t>(storage->size()), storage};
  }

  std::shared_ptr<const void> owner_;  // of a copy or of a temporary; null for a view
};

namespace detail {

/// A compile error with the reason where arrays of From cannot be read as Numbers; true otherwise.
template <class From, class Number>
consteval bool check_number_type() {
  static_assert(std::is_floating_point_v<From>,
                "coho: log-probs, values, scores and rewards are floating-point numbers, not integers");
  static_assert(!std::is_floating_point_v<From> || sizeof(From) <= sizeof(Number),
                "coho: these inputs are of float and would round an array of double; cast it, or name inputs<double>");
  return true;
}

/// The argument that the gradient is with respect to: in its own number type, which the result has too.
template <class Number>
class number_array : public array_view<Number> {
 public:
  template <class Array>
    requires(host_array<Array> && !std::is_base_of_v<array_view<Number>, std::remove_cvref_t<Array>>)
  number_array(Array&& array)  // NOLINT: arrays are viewed without being asked to
      : array_view<Number>(std::forward<Array>(array)) {
    using from = own_number_t<Array>;
    static_assert(check_number_type<from, Number>());
    static_assert(!std::is_floating_point_v<from> || std::is_same_v<from, Number>,
                  "coho: inputs in braces are of double; for arrays of float name the type: …_inputs<float>{…}");
  }
  number_array(const array_view<Number>& view) : array_view<Number>(view) {}  // NOLINT
};

/// A constant argument; narrower numbers are converted.
template <class Number>
class constant_array : public array_view<Number> {
 public:
  constant_array() = default;
  template <class Array>
    requires(host_array<Array> && !std::is_base_of_v<array_view<Number>, std::remove_cvref_t<Array>>)
  constant_array(Array&& array)  // NOLINT: arrays are viewed without being asked to
      : array_view<Number>(std::forward<Array>(array)) {
    static_assert(check_number_type<own_number_t<Array>, Number>());
  }
  constant_array(const array_view<Number>& view) : array_view<Number>(view) {}  // NOLINT
};

template <class Array>
struct input_types {
  static_assert(device_array<Array>,
                "coho: inputs are of double, of float, or of a tensor type; for at::Tensor include "
                "<coho/torch/ops.hpp>");
  using number = Array;
  using constant = Array;
  using weight = Array;
  using any_number = Array;
  using mask = Array;
};
template <floating_scalar Number>
struct input_types<Number> {
  using number = number_array<Number>;
  using constant = constant_array<Number>;
  using weight = array_view<double>;
  using any_number = array_view<double>;  // lengths and flags: of integers too, and NaN stays NaN
  using mask = array_view<std::uint8_t>;
};

}  // namespace detail

/// The weights of named inputs: `token_weights` of any array, or none.
template <class Array>
struct optional_weights {
  typename detail::input_types<Array>::weight values{};
  bool given = false;

  optional_weights() = default;
  template <class Weights>
  optional_weights(const token_weights<Weights>& weights) : values(weights.values), given(true) {}  // NOLINT
  template <class Weights>
  optional_weights(token_weights<Weights>&& weights) : values(std::move(weights.values)), given(true) {}  // NOLINT
};

/// A constant argument of named inputs that may be left out: any array, or none.
template <class Array>
struct optional_constant {
  typename detail::input_types<Array>::constant values{};
  bool given = false;

  optional_constant() = default;
  template <class Values>
    requires(!std::is_same_v<std::remove_cvref_t<Values>, optional_constant>)
  optional_constant(Values&& array) : values(std::forward<Values>(array)), given(true) {}  // NOLINT
};

/// The mask of named inputs: one number per token, 0 for padding; or none.
template <class Array>
struct optional_mask {
  typename detail::input_types<Array>::mask values{};
  bool given = false;

  optional_mask() = default;
  template <class Mask>
    requires(!std::is_same_v<std::remove_cvref_t<Mask>, optional_mask>)
  optional_mask(Mask&& mask) : values(std::forward<Mask>(mask)), given(true) {}  // NOLINT
};

namespace detail {

/// Calls f with the array, or with the number that stands for each element if none was given.
template <class Array, class F>
auto with_array_or(const optional_constant<Array>& in, double number, const F& f) {
  return in.given ? f(in.values) : f(number);
}

/// The same mask for the implementation on the host: a tensor is copied there, none stays none.
template <class Array>
optional_mask<double> host_mask(const optional_mask<Array>& mask) {
  if constexpr (device_array<Array>) {
    return mask.given ? optional_mask<double>(on_host(mask.values)) : optional_mask<double>();
  } else {
    return mask.given ? optional_mask<double>(mask.values) : optional_mask<double>();
  }
}

/// Calls f with a predicate on the index: whether a token of `size` is real; throws argument_error for another length.
template <class Number, class F>
decltype(auto) with_mask(const optional_mask<Number>& mask, std::size_t size, const char* who, const F& f) {
  if (!mask.given) return f(all_real{size});
  const auto flags = host_elements(mask.values);
  check_lengths(size, flags.size(), who, "mask");
  return f(flags);
}

}  // namespace detail
}  // namespace coho::inline v0_1
