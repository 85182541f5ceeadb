#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coho::trainer {

/// Whether a pattern of `rank_pattern` or `alpha_pattern` matches a module: a regular expression for the whole path, or
/// for its end after a dot, as in PEFT.
///
///     matches_pattern("q_proj", "model.layers.0.self_attn.q_proj");  // true
bool matches_pattern(std::string_view pattern, std::string_view module);

/// The value of the first pattern that matches the module; nothing if none does.
template <class Value>
std::optional<Value> find_pattern_value(const std::vector<std::pair<std::string, Value>>& patterns,
                                        std::string_view module) {
  for (const auto& [pattern, value] : patterns)
    if (matches_pattern(pattern, module)) return value;
  return std::nullopt;
}

}  // namespace coho::trainer
