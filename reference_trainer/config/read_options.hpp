#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <coho/options.hpp>

#include "config/config.hpp"

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
    const std::string key = group + std::string(about.name);
    if (std::ranges::find(except, key) != except.end()) return;
    if constexpr (described<T>) {
      T::describe(option_reader{section, except, key + ".", given}, value);
    } else if constexpr (optional_described<T>) {
      using inner = typename coho::detail::optional_value<T>::type;
      if (given && !value && section.has(key)) value.emplace();
      inner unused{};
      inner::describe(option_reader{section, except, key + ".", value.has_value()}, value ? *value : unused);
    } else if (!given) {
      section.mention({key});
    } else if constexpr (std::is_enum_v<T>) {
      const auto names = option_names(value);
      const std::vector<std::string_view> allowed(names.begin(), names.end());
      const auto name = section.choice(key, allowed[static_cast<std::size_t>(value)], allowed);
      value = static_cast<T>(std::ranges::find(allowed, name) - allowed.begin());
    } else {
      value = section.get<T>(key, value);
      if constexpr (option_number<T>)
        section.check(about.range.contains(static_cast<double>(value)), key,
                      allowed_text(about.range, std::is_integral_v<T>));
    }
  }
};

}  // namespace detail

/// Reads the options that a struct describes from the section, each by its name and those of its groups
/// ("policy_clip.clip_low"); missing options keep their values. An optional group is present once one of its
/// keys is. `except` names options and groups that are not read. Throws config_error for a value of another type or out
/// of its range, with its place. Constraints between options are checked by the struct's `validate`.
///
///     ppo_options options = ppo_options::paper();
///     read_options(recipe.section("ppo"), options, {"seed", "generation"});
template <described Options>
void read_options(const config& section, Options& options, std::initializer_list<std::string_view> except = {}) {
  Options::describe(detail::option_reader{section, except}, options);
}

/// config_error where an option of a group is given, other than in `preset`, while it has no effect. `reason`: "while
/// ppo.whiten_advantages is false".
template <described Options>
void refuse_unused(const config& section, const std::string& group, const Options& options, const Options& preset,
                   const std::string& reason) {
  if (const auto name = changed_option(options, preset); !name.empty())
    section.check(false, group + "." + name, "left out " + reason + ", where it has no effect");
}

}  // namespace coho::trainer
