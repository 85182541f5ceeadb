#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>

/// An options struct describes each member once; validation and, in programs, the keys of
/// configuration files and their documentation are generated from it.
///
/// A struct describes its members one by one to a visitor, for one object or several in parallel:
///
///     struct gae_options {
///       double gamma = 1, lambda = 1;
///       static void describe(auto&& visit, auto&... o) {
///         visit({"gamma", "discount per token", allowed::in(0, 1)}, o.gamma...);
///         visit({"lambda", "1: return minus value; 0: one-step errors", allowed::in(0, 1)}, o.lambda...);
///       }
///     };
///
/// Members that are described structs, or optional ones, are groups: their options' names are prefixed with the group's
/// ("gae.gamma"). The names of an enumeration's values, starting with that of 0, are an array that
/// `option_names(value)` returns, found by its type. Constraints between members are checked in a member
/// `check_constraints(prefix)`.
namespace coho::inline v0_1 {

/// The allowed values of an option. NaN is never allowed.
struct option_range {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool low_included = true, high_included = true;
  bool zero = false;      ///< 0 is also allowed, and means off
  bool infinity = false;  ///< infinity is also allowed, and means off

  /// The range with 0 added, which switches the option off.
  constexpr option_range or_zero() const {
    auto out = *this;
    out.zero = true;
    return out;
  }
  /// The range with +infinity added, which switches the option off.
  constexpr option_range or_infinity() const {
    auto out = *this;
    out.infinity = true;
    return out;
  }
  /// False for NaN, and for infinity unless `infinity` allows it.
  bool contains(double x) const noexcept {
    if (zero && x == 0) return true;
    if (std::isinf(x) && !(infinity && x > 0)) return false;
    return (low_included ? x >= low : x > low) && (high_included ? x <= high : x < high);
  }
};

/// Ranges of options.
namespace allowed {
constexpr option_range any() { return {}; }  ///< any finite number
constexpr option_range at_least(double low) { return {.low = low}; }                        ///< [low, ∞)
constexpr option_range above(double low) { return {.low = low, .low_included = false}; }   ///< (low, ∞)
constexpr option_range in(double low, double high) { return {.low = low, .high = high}; }  ///< [low, high]
/// A number of tokens, sequences or records: 1 to 2³¹ − 1.
constexpr option_range count() { return {.low = 1, .high = 2'147'483'647}; }
/// (low, high)
constexpr option_range in_open(double low, double high) {
  return {.low = low, .high = high, .low_included = false, .high_included = false};
}
/// [low, high)
constexpr option_range in_from(double low, double high) { return {.low = low, .high = high, .high_included = false}; }
/// (low, high]
constexpr option_range in_up_to(double low, double high) { return {.low = low, .high = high, .low_included = false}; }
/// A bound on numbers: at least 0; 0 and infinity switch it off.
constexpr option_range bound() { return at_least(0).or_zero().or_infinity(); }
}  // namespace allowed

/// The description of an option; its type and default are those of the member.
struct option {
  std::string_view name, meaning;
  option_range range{};
  std::string_view unit{};
};

namespace detail {
struct any_visitor {
  template <class... Values>
  void operator()(const option&, Values&...) const {}
};
template <class T>
struct optional_value {
  using type = void;
};
template <class T>
struct optional_value<std::optional<T>> {
  using type = T;
};
}  // namespace detail

/// described: a struct that describes its options.
template <class T>
concept described = requires(T& options) { T::describe(detail::any_visitor{}, options); };

/// An optional described struct: a group that may be omitted.
template <class T>
concept optional_described = described<typename detail::optional_value<T>::type>;

template <class T>
concept option_number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

/// "finite and at least 0", "in (0, 1)", "0 (off) or finite and greater than 1"; for whole numbers "at least 1". Empty
/// where every value of the type is allowed.
template <class = detail::if_called>
std::string allowed_text(const option_range& range, bool whole = false) {
  std::ostringstream out;
  out.precision(15);  // 1048576 rather than 1.04858e+06
  const bool low = std::isfinite(range.low), high = std::isfinite(range.high);
  const bool zero =
      range.zero && !option_range{range.low, range.high, range.low_included, range.high_included}.contains(0);
  if (!low && !high) return whole ? "" : "finite";
  if (zero) out << "0 (off) or ";
  if (low && high) {
    out << "in " << (range.low_included ? '[' : '(') << range.low << ", " << range.high
        << (range.high_included ? ']' : ')');
  } else {
    if (!whole && !range.infinity) out << "finite and ";
    if (low) out << (range.low_included ? "at least " : "greater than ") << range.low;
    if (high) out << (range.high_included ? "at most " : "less than ") << range.high;
  }
  if (range.zero && !zero) out << (range.infinity ? " (0 or infinity: off)" : " (0: off)");
  if (range.infinity && !(range.zero && !zero)) out << " (infinity: off)";
  return out.str();
}

template <described Options>
void validate(const Options& options, const std::string& prefix = {});

namespace detail {
/// Visitor of `validate`: throws `option_error` for a number out of its range, and enters groups with a longer prefix.
struct range_check {
  const std::string& prefix;

  template <class T>
  void operator()(const option& about, const T& value) const {
    if constexpr (described<T>) {
      coho::validate(value, prefix + std::string(about.name) + ".");
    } else if constexpr (optional_described<T>) {
      if (value) coho::validate(*value, prefix + std::string(about.name) + ".");
    } else if constexpr (option_number<T>) {
      if (!about.range.contains(static_cast<double>(value)))
        throw option_error(prefix + std::string(about.name), value, allowed_text(about.range, std::is_integral_v<T>));
    }
  }
};

/// Visitor of `changed_option` over two structs: `found` is the first name whose values differ, groups included.
struct difference_search {
  std::string prefix{}, found{};

  template <class T>
  void operator()(const option& about, const T& a, const T& b) {
    if (!found.empty()) return;
    const auto name = prefix + std::string(about.name);
    if constexpr (described<T>) {
      difference_search inner{name + "."};
      T::describe(inner, a, b);
      found = inner.found;
    } else if constexpr (optional_described<T>) {
      if (a.has_value() != b.has_value()) {
        found = name;
      } else if (a) {
        difference_search inner{name + "."};
        detail::optional_value<T>::type::describe(inner, *a, *b);
        found = inner.found;
      }
    } else if (!(a == b)) {
      found = name;
    }
  }
};
}  // namespace detail

/// Throws `option_error` for the first option out of its range, its name prefixed with `prefix`, then for violated
/// constraints between options.
template <described Options>
void validate(const Options& options, const std::string& prefix) {
  Options::describe(detail::range_check{prefix}, options);
  if constexpr (requires { options.check_constraints(prefix); }) options.check_constraints(prefix);
}

/// The name of the first option in which two structs differ; empty where they are equal.
///
///     coho::changed_option(coho::gae_options{.lambda = 0.9}, coho::gae_options{});  // "lambda"
template <described Options>
std::string changed_option(const Options& options, const Options& other) {
  detail::difference_search search;
  Options::describe(search, options, other);
  return search.found;
}

/// `option_error` for the first of the options that differs from `defaults`: in this combination it has no effect.
/// `reason`: "where another policy loss is given".
template <described Options>
void require_unused(const Options& options, const Options& defaults, const std::string& prefix,
                    const std::string& reason) {
  if (const auto name = changed_option(options, defaults); !name.empty())
    throw option_error(prefix + name, "(changed)", "left as it is " + reason);
}

}  // namespace coho::inline v0_1
