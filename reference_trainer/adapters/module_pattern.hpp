#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coho::trainer {

/// The value of the first pattern that is the module's path or its end, from a dot on.
template <class Value>
std::optional<Value> find_module_pattern(const std::vector<std::pair<std::string, Value>>& patterns, std::string_view path) {
  for (const auto& [pattern, value] : patterns)
    if (std::regex_match(path.begin(), path.end(), std::regex("(.*\\.)?(" + pattern + ")"))) return value;
  return std::nullopt;
}

}  // namespace coho::trainer
