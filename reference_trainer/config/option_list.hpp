#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <coho/options.hpp>

namespace coho::trainer {

/// What a recipe's key means, for people: made from the description of the option.
struct listed_option {
  std::string key;                    ///< "ppo.policy_clip.clip_low"
  std::vector<std::string> defaults;  ///< one per preset, as a recipe would spell them
  std::string allowed;                ///< "in (0, 1)", "one of k1, k2"; empty: any value of the type
  std::string unit, meaning;
};

/// As a recipe spells them.
std::string spelled(bool value);
std::string spelled(double value);
std::string spelled(const std::string& value);
std::string spelled(const std::vector<std::string>& values);

/// A table for a terminal: key, default, allowed values, meaning.
std::string option_table(std::span<const listed_option> options);
/// The same as a table of Markdown. `presets`: the headings of the columns of defaults.
std::string option_markdown(std::span<const listed_option> options, std::span<const std::string> presets);

namespace detail {

struct option_lister {
  std::vector<listed_option>& out;
  const std::string& section;
  std::initializer_list<std::string_view> except;
  std::string group{};

  template <class T, class... Presets>
  void operator()(const option& about, const T& first, const Presets&... more) const {
    const std::string key = group + std::string(about.name);
    if (std::ranges::find(except, key) != except.end()) return;
    if constexpr (described<T>) {
      T::describe(option_lister{out, section, except, key + "."}, first, more...);
    } else if constexpr (optional_described<T>) {
      // The options of the group once one of them is given.
      using inner = typename coho::detail::optional_value<T>::type;
      const inner defaults{};
      inner::describe(option_lister{out, section, except, key + "."}, defaults);
    } else {
      listed_option line{section + key, {}, {}, std::string(about.unit), std::string(about.meaning)};
      for (const auto& value : {first, more...}) line.defaults.push_back(text_of(value));
      if constexpr (std::is_enum_v<T>) {
        for (const std::string name : option_names(first)) line.allowed += (line.allowed.empty() ? "" : ", ") + name;
      } else if constexpr (option_number<T>) {
        line.allowed = allowed_text(about.range, std::is_integral_v<T>);
        if (line.allowed == "finite") line.allowed.clear();
        if (line.allowed.starts_with("finite and ")) line.allowed.erase(0, std::string_view("finite and ").size());
      }
      out.push_back(std::move(line));
    }
  }

  template <class T>
  static std::string text_of(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      return option_names(value)[static_cast<std::size_t>(value)];
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
      return spelled(value.string());
    } else if constexpr (option_number<T>) {
      if constexpr (std::is_integral_v<T>) return std::to_string(value);
      return spelled(static_cast<double>(value));
    } else {
      return spelled(value);
    }
  }
};

}  // namespace detail

/// Appends the options that a struct describes, with their values in `presets` as defaults; `section` is the prefix of
/// each name ("ppo."). `except` as for `read_options`.
///
///     std::vector<listed_option> all;
///     list_options(all, "ppo.", {"seed"}, ppo_options::paper(), ppo_options::salmon_code());
template <described Options, class... Presets>
void list_options(std::vector<listed_option>& out, const std::string& section,
                  std::initializer_list<std::string_view> except, const Options& first, const Presets&... presets) {
  Options::describe(detail::option_lister{out, section, except}, first, presets...);
}

}  // namespace coho::trainer
