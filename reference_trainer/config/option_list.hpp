#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/options.hpp>

#include "config/option_check.hpp"
#include "config/recipe_option.hpp"

namespace coho::trainer {

/// What a recipe's key means, for people: made from the description of the option.
struct listed_option {
  std::string key;                    ///< "ppo.policy_clip.clip_low"
  std::vector<std::string> defaults;  ///< one per preset, as a recipe would spell them
  std::string allowed;                ///< "in (0, 1)", "one of k1, k2"; empty: any value of the type
  std::string unit, meaning;
  bool optional_group = false;  ///< its group is off until one of its keys is given
  option_range range{};
  /// `check_given` for the type of the option.
  void (*check)(const config& section, std::string_view key, const option_range& range) = nullptr;
};

/// A value as a recipe spells it: strings in quotes with escapes, numbers in the fewest digits, lists in brackets.
std::string toml_text(bool value);
std::string toml_text(double value);
std::string toml_text(const std::string& value);
/// A list of them.
template <class T>
std::string toml_text(const std::vector<T>& values) {
  std::string out;
  for (const auto& value : values) {
    if constexpr (std::is_same_v<T, std::filesystem::path>) {
      out += (out.empty() ? "" : ", ") + toml_text(value.string());
    } else {
      out += (out.empty() ? "" : ", ") + toml_text(value);
    }
  }
  return "[" + out + "]";
}
/// An inline section: { prompt = "question" }.
std::string toml_text(const std::map<std::string, std::string>& values);

/// A table for a terminal of 100 columns: key, default, unit and allowed values, and below each key its meaning.
std::string option_table(std::span<const listed_option> options);
/// The same as a table of Markdown. `presets`: the headings of the columns of defaults.
std::string option_markdown(std::span<const listed_option> options, std::span<const std::string> presets);

namespace detail {

/// Lists what a struct describes, with the values of one object per preset as defaults.
struct option_lister {
  std::vector<listed_option>& out;
  const std::string& section;
  std::initializer_list<std::string_view> except;
  std::string group{};
  bool off = false;  ///< in a group that may be left out

  template <class T, class... Presets>
  void operator()(const option& about, const T& first, const Presets&... more) const {
    append(about, {}, first, more...);
  }
  template <class T, class... Presets>
  void operator()(const recipe_option& about, const T& first, const Presets&... more) const {
    append(about, about.shown, first, more...);
  }

 private:
  // A group is listed option by option; `shown` stands for the default unless it is empty.
  template <class T, class... Presets>
  void append(const option& about, std::string_view shown, const T& first, const Presets&... more) const {
    const std::string key = group + std::string(about.name);
    if (std::ranges::find(except, key) != except.end()) return;
    if constexpr (described<T>) {
      T::describe(option_lister{out, section, except, key + ".", off}, first, more...);
    } else if constexpr (optional_described<T>) {
      // The options of the group once one of them is given.
      using inner = typename coho::detail::optional_value<T>::type;
      const inner defaults{};
      inner::describe(option_lister{out, section, except, key + ".", true}, defaults);
    } else {
      listed_option line{.key = section + key,
                         .defaults = {},
                         .allowed = {},
                         .unit = std::string(about.unit),
                         .meaning = std::string(about.meaning),
                         .optional_group = off,
                         .range = about.range,
                         .check = check_given<T>};
      if (shown.empty()) {
        (line.defaults.push_back(spelled_default(first)), ..., line.defaults.push_back(spelled_default(more)));
      } else {
        line.defaults.emplace_back(shown);
      }
      if (off)
        for (auto& value : line.defaults) value = "off (" + value + ")";
      if constexpr (std::is_enum_v<T>) {
        for (const std::string name : option_names(first)) line.allowed += (line.allowed.empty() ? "" : ", ") + name;
      } else if constexpr (option_number<T> || option_number<typename coho::detail::optional_value<T>::type>) {
        line.allowed =
            allowed_text(about.range, !std::is_same_v<T, double> && !std::is_same_v<T, std::optional<double>>);
        // Tables leave out what goes without saying.
        if (line.allowed == "finite") line.allowed.clear();
        constexpr std::string_view finite = "finite and ";
        if (const auto at = line.allowed.find(finite); at != std::string::npos) line.allowed.erase(at, finite.size());
      }
      out.push_back(std::move(line));
    }
  }

  // The default as a recipe spells it; "none" for a path or an option that is not set.
  template <class T>
  static std::string spelled_default(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      return option_names(value)[static_cast<std::size_t>(value)];
    } else if constexpr (!std::is_void_v<typename coho::detail::optional_value<T>::type>) {
      return value ? spelled_default(*value) : "none";
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
      return value.empty() ? "none" : toml_text(value.string());
    } else if constexpr (std::is_same_v<T, std::vector<std::filesystem::path>>) {
      return value.empty() ? "none" : toml_text(value);
    } else if constexpr (option_number<T>) {
      if constexpr (std::is_integral_v<T>) return std::to_string(value);
      return toml_text(static_cast<double>(value));
    } else {
      return toml_text(value);
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

/// A section of a recipe as a stage reads it.
struct option_section {
  std::string name;  ///< "model"; empty: the top of the recipe
  std::vector<listed_option> options{};
  std::vector<std::string> presets{"default"};  ///< headings of the columns of defaults
  bool partial = false;                         ///< a few keys of a section that other stages describe

  /// The option of that whole key; null where the section has none.
  const listed_option* find(std::string_view key) const;
};

/// Forms of one section as one: the keys of all, with a column of defaults for each heading, or shared by headings
/// whose defaults agree. A form with presets has one heading per preset.
option_section joined_section(std::span<const std::pair<std::string, option_section>> forms);

/// The section that a struct describes, with the defaults of `options`, or, of a struct with a function
/// `of(recipe_preset)`, those of each preset.
///
///     subcommand{…, .options = {section_options("model", model_options{}), section_options("judge", judge_options{})}}
template <described Options>
option_section section_options(const std::string& name, const Options& options = {}) {
  option_section out{name};
  const std::string prefix = name.empty() ? "" : name + ".";
  if constexpr (requires { Options::of(recipe_preset::paper); }) {
    const auto presets = option_names(recipe_preset::paper);
    out.presets.assign(presets.begin(), presets.end());
    list_options(out.options, prefix, {}, Options::of(recipe_preset::paper), Options::of(recipe_preset::salmon_code));
  } else {
    list_options(out.options, prefix, {}, options);
  }
  return out;
}

}  // namespace coho::trainer
