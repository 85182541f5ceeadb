#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/error.hpp>

namespace coho::inline v0_1 {

/// One judging principle: what a good response does, and the opposite.
///
/// `weight` is relative: sampling draws in proportion to it. A principle that is never negated may leave
/// `negative_definition` empty.
///
///     coho::principle concise{.name = "Concise", .definition = "Say it in few words."};
struct principle {
  std::string name{};
  std::string definition{};
  std::string negative_definition{};
  double weight = 1.0;

  bool can_be_negated() const noexcept { return !negative_definition.empty(); }
  friend bool operator==(const principle&, const principle&) = default;
};

/// A principle of a list, as drawn for one example: its position in the list and whether it is negated.
struct drawn_principle {
  std::size_t index = 0;
  bool negated = false;
  friend bool operator==(const drawn_principle&, const drawn_principle&) = default;
};

/// A range of principles, by value or by reference; range-v3 views included.
template <class Range>
concept principle_range = std::ranges::input_range<Range> &&
                          std::same_as<std::remove_cvref_t<std::ranges::range_reference_t<Range>>, principle>;

namespace detail {

/// Other bytes than A to Z are returned as they are.
constexpr char ascii_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Whether `part` occurs in `text`: substring search in which ASCII letters match in either case; other bytes (UTF-8
/// included) match exactly.
inline bool contains_ignoring_case(std::string_view text, std::string_view part) noexcept {
  for (std::size_t begin = 0; begin + part.size() <= text.size(); ++begin) {
    std::size_t same = 0;
    while (same < part.size() && ascii_lower(text[begin + same]) == ascii_lower(part[same])) ++same;
    if (same == part.size()) return true;
  }
  return false;
}

}  // namespace detail

/// Throws `argument_error` unless every principle has a name and a definition, names are unique, and every weight
/// is finite and not negative with at least one positive.
struct check_principles_fn {
  template <principle_range Range>
  void operator()(const Range& principles) const {
    std::vector<std::string> names;
    bool positive = false;
    for (const principle& p : principles) {
      require_argument(!p.name.empty(), "principle " + std::to_string(names.size() + 1) + " has no name");
      require_argument(!p.definition.empty(), "principle \"" + p.name + "\" has no definition");
      require_argument(std::isfinite(p.weight) && p.weight >= 0,
                       "principle \"" + p.name + "\": the weight must be finite and at least 0");
      positive = positive || p.weight > 0;
      names.push_back(p.name);
    }
    require_argument(!names.empty(), "the list of principles is empty");
    require_argument(positive, "no principle of the list has a positive weight");
    std::sort(names.begin(), names.end());
    for (std::size_t i = 1; i < names.size(); ++i) {
      require_argument(names[i - 1] != names[i], "principle \"" + names[i] + "\" occurs twice");
    }
  }
};
inline constexpr check_principles_fn check_principles{};

/// Position of the principle called `name`; throws `argument_error`, listing the known names, if there is none.
struct find_principle_fn {
  template <principle_range Range>
  std::size_t operator()(const Range& principles, std::string_view name) const {
    std::size_t index = 0;
    std::string known;
    for (const principle& p : principles) {
      if (p.name == name) return index;
      known.append(index++ == 0 ? "" : ", ").append(p.name);
    }
    throw argument_error("no principle is called \"" + std::string(name) + "\"; the list has: " + known);
  }
};
inline constexpr find_principle_fn find_principle{};

/// The named principles, in the order of `names`. Throws `argument_error` for an unknown name.
///
///     auto used = coho::select_principles(all, std::vector<std::string>{"Concise", "Ethical"});
struct select_principles_fn {
  template <principle_range Range, std::ranges::input_range Names>
    requires std::convertible_to<std::ranges::range_reference_t<Names>, std::string_view>
  std::vector<principle> operator()(const Range& principles, const Names& names) const {
    std::vector<principle> out;
    for (const auto& name : names) {
      out.push_back(*std::ranges::next(std::ranges::begin(principles),
                                       static_cast<std::ptrdiff_t>(find_principle(principles, name))));
    }
    return out;
  }
};
inline constexpr select_principles_fn select_principles{};

/// The principles without the named ones. Throws `argument_error` for an unknown name.
struct drop_principles_fn {
  template <principle_range Range, std::ranges::input_range Names>
    requires std::convertible_to<std::ranges::range_reference_t<Names>, std::string_view>
  std::vector<principle> operator()(const Range& principles, const Names& names) const {
    std::vector<principle> out(std::ranges::begin(principles), std::ranges::end(principles));
    for (const auto& name : names) out.erase(out.begin() + static_cast<std::ptrdiff_t>(find_principle(out, name)));
    return out;
  }
};
inline constexpr drop_principles_fn drop_principles{};

}  // namespace coho::inline v0_1
