#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <coho/options.hpp>

#include "config/config.hpp"

namespace coho::trainer {

/// No file has such a path: the system's calls end the path there.
inline bool has_nul(const std::filesystem::path& path) { return path.native().find('\0') != std::string::npos; }

/// config_error for a number out of its range, and for a path that is empty or holds NUL, alone or in a list.
template <class T>
void check_option(const config& section, std::string_view key, const option_range& range, const T& value) {
  if constexpr (option_number<T>) {
    section.check(range.contains(static_cast<double>(value)), key, allowed_text(range, std::is_integral_v<T>));
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    section.check(!value.empty(), key, "a path that is not empty");
    section.check(!has_nul(value), key, "a path without the character NUL");
  } else if constexpr (std::is_same_v<T, std::vector<std::filesystem::path>>) {
    section.check(std::ranges::none_of(value, &std::filesystem::path::empty), key, "paths of which none is empty");
    section.check(std::ranges::none_of(value, has_nul), key, "paths without the character NUL");
  }
}

/// config_error where the recipe gives the key a value that no option of the type T in that range can have; of an
/// enumeration, a name that is none of its values. The key is not read: another stage does that.
template <class T>
void check_given(const config& section, std::string_view key, const option_range& range) {
  using inner = typename coho::detail::optional_value<T>::type;
  if constexpr (std::is_enum_v<T>) {
    const auto name = section.peek<std::string>(key);
    if (!name) return;
    std::string all;
    bool known = false;
    for (const std::string each : option_names(T{})) {
      all += (all.empty() ? "one of " : ", ") + each;
      known = known || each == *name;
    }
    section.check(known, key, all);
  } else if constexpr (!std::is_void_v<inner>) {
    check_given<inner>(section, key, range);
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    static_cast<void>(section.peek<T>(key));  // whether "" is allowed depends on the default: its stage knows
  } else if (const auto value = section.peek<T>(key)) {
    check_option(section, key, range, *value);
  }
}

}  // namespace coho::trainer
