#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/options.hpp>

#include "config/config.hpp"
#include "config/option_check.hpp"
#include "config/recipe_option.hpp"

namespace coho::trainer {

namespace detail {

/// Reads what a struct describes; `except` holds names from the struct's root on, with the groups before them.
struct option_reader {
  const config& section;
  std::initializer_list<std::string_view> except;
  std::string group{};  ///< "policy_clip."
  bool given = true;    ///< false: the group is absent, and its keys are only declared

  template <class T>
  void operator()(const option& about, T& value) const {
    read(about, value, false);
  }
  template <class T>
  void operator()(const recipe_option& about, T& value) const {
    read(about, value, about.must_be_given);
  }

  /// Calls the struct's own `resolve` or `check_constraints`, where it has one, with the section that it was read from.
  template <class T>
  static void resolve(T& value, const config& own) {
    if constexpr (requires { value.resolve(own); }) value.resolve(own);
    if constexpr (requires { value.check_constraints(own); }) value.check_constraints(own);
  }

 private:
  // An option, or a group with its options; those of an absent group are declared, so that they are known keys.
  template <class T>
  void read(const option& about, T& value, bool must_be_given) const {
    const std::string key = group + std::string(about.name);
    if (std::ranges::find(except, key) != except.end()) return;
    if constexpr (described<T>) {
      T::describe(option_reader{section, except, key + ".", given}, value);
      if (given) resolve(value, section.section(key));
    } else if constexpr (optional_described<T>) {
      using inner = typename coho::detail::optional_value<T>::type;
      if (given && !value && section.has(key)) value.emplace();
      inner unused{};
      inner::describe(option_reader{section, except, key + ".", value.has_value()}, value ? *value : unused);
      if (value) resolve(*value, section.section(key));
    } else if (!given) {
      section.declare({key});
    } else {
      read_value(about, key, value, must_be_given);
    }
  }

  // One option, checked against its range; a key that is absent leaves the value, unless it must be given.
  template <class T>
  void read_value(const option& about, const std::string& key, T& value, bool must_be_given) const {
    using inner = typename coho::detail::optional_value<T>::type;
    if constexpr (std::is_enum_v<T>) {
      const auto names = option_names(value);
      const std::vector<std::string_view> allowed(names.begin(), names.end());
      const auto name = section.choice(key, allowed[static_cast<std::size_t>(value)], allowed);
      value = static_cast<T>(std::ranges::find(allowed, name) - allowed.begin());
    } else if constexpr (!std::is_void_v<inner>) {
      if (auto found = section.find<inner>(key)) value = std::move(found);
      if (value) check_option(section, key, about.range, *value);
    } else {
      const T fallback = value;
      value = must_be_given ? section.require<T>(key, about.meaning) : section.get<T>(key, value);
      // An empty path that is the default means none, and may be given too.
      const bool none = std::is_same_v<T, std::filesystem::path> && !must_be_given && value == fallback;
      if (!none) check_option(section, key, about.range, value);
      if constexpr (std::is_same_v<T, std::vector<std::filesystem::path>>)
        section.check(!must_be_given || !value.empty(), key, "a file or a list of files");
    }
  }
};

}  // namespace detail

/// Reads the options that a struct describes from the section, each by its name and those of its groups
/// ("policy_clip.clip_low"); missing options keep their values, and required ones must be there. An optional group is
/// present once one of its keys is. `except` names options and groups that are not read. Throws config_error for a
/// value of another type or out of its range, with its place, and for an empty path, except where that is the default:
/// it then means none. Two members of the struct or of a group, where it has them, are called once its options are
/// read: `resolve(const config& section)` derives members from them, `check_constraints(const config& section) const`
/// throws where two of them contradict each other.
///
///     ppo_options options = ppo_options::paper();
///     read_options(recipe.section("ppo"), options, {"seed", "generation"});
template <described Options>
void read_options(const config& section, Options& options, std::initializer_list<std::string_view> except = {}) {
  Options::describe(detail::option_reader{section, except}, options);
  detail::option_reader::resolve(options, section);
}

/// Reads some of the options only; neither resolves them nor checks their constraints.
template <described Options>
void read_only(const config& section, Options& options, std::initializer_list<std::string_view> names) {
  const detail::option_reader reader{section, {}};
  Options::describe(only(names, reader), options);
}

/// The defaults of a section under its `preset`: those of `Options::of(recipe_preset)`.
template <described Options>
Options read_preset(const config& section) {
  Options chosen{};
  read_only(section, chosen, {"preset"});
  return Options::of(chosen.preset);
}

/// A section as a struct: `read_options` over `defaults`, or over those of its preset if it has one.
///
///     const auto read = read_section<judge_options>(recipe.section("judge"));
template <described Options>
Options read_section(const config& section, Options defaults = {}) {
  if constexpr (requires { Options::of(defaults.preset); }) defaults = read_preset<Options>(section);
  read_options(section, defaults);
  return defaults;
}

/// config_error where an option of a group is given, other than in `preset`, while it has no effect. `reason`: "while
/// ppo.whiten_advantages is false".
template <described Options>
void refuse_unused(const config& section, const std::string& group, const Options& options, const Options& preset,
                   const std::string& reason) {
  if (const auto name = changed_option(options, preset); !name.empty())
    section.check(false, group + "." + name, "left out " + reason + ", where it has no effect");
}

/// config_error where a key is `given` another value than its default while another key, `by`, switches it off. A key
/// may stay in a recipe where an override, or a recipe that extends it, switches it off. `reason`: "while save_every is
/// 0".
inline void refuse_unused(const config& section, std::string_view key, bool given, std::string_view by,
                          const std::string& reason) {
  section.check(!given || section.prevails(by, key), key, "left out " + reason + ", where it has no effect");
}

}  // namespace coho::trainer
