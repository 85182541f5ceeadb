#pragma once

// TOML values as text. For the readers of recipes only: the TOML library is slow to compile, and its types are kept out
// of what stages include.

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <string_view>

#include <toml++/toml.h>

#include "config/spelling.hpp"

namespace coho::trainer {

// As TOML that reads back as the same value, a list on one line; `flags` of toml++'s formatter.
inline std::string print_toml(const toml::node& node, toml::format_flags flags) {
  if (const auto* number = node.as_floating_point(); number != nullptr && std::isfinite(number->get())) {
    const auto text = shortest_text(number->get());
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  if (const auto* list = node.as_array()) {
    std::string out;
    for (const auto& item : *list) out += (out.empty() ? "" : ", ") + print_toml(item, flags);
    return out.empty() ? "[]" : "[ " + out + " ]";
  }
  std::ostringstream out;
  node.visit([&](const auto& value) { out << toml::toml_formatter(value, flags); });
  return out.str();
}

inline constexpr toml::format_flags recipe_format =
    toml::toml_formatter::default_flags & ~toml::format_flags::indentation;

// For messages, which are one line: line breaks of strings are printed as escapes.
inline std::string print_value(const toml::node& node) {
  return escape_controls(print_toml(node, recipe_format & ~toml::format_flags::allow_multi_line_strings));
}

// For people, not for a parser: strings without quotes, 2.0 as 2.
inline std::string text_for_people(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  const auto* number = node.as_floating_point();
  return number == nullptr ? print_value(node) : shortest_text(number->get());
}

// A section with its own keys first, then the sections in it, each under its whole name.
inline void print_section(const toml::table& table, const std::string& name, std::string& out) {
  const auto heading = [&](const char* open, const std::string& of, const char* close) {
    out += (out.empty() ? "" : "\n") + std::string(open) + of + close + "\n";
  };
  const auto list_of_sections = [](const toml::node& node) {
    const auto* list = node.as_array();
    return list != nullptr && !list->empty() && list->is_array_of_tables();
  };
  const auto whole = [&](std::string_view key) { return (name.empty() ? "" : name + ".") + std::string(key); };
  for (const auto& [key, node] : table)
    if (!node.is_table() && !list_of_sections(node))
      out += std::string(key.str()) + " = " + print_toml(node, recipe_format) + "\n";
  for (const auto& [key, node] : table) {
    if (const auto* inner = node.as_table()) {
      const bool own = std::ranges::any_of(
          *inner, [&](const auto& entry) { return !entry.second.is_table() && !list_of_sections(entry.second); });
      if (own || inner->empty()) heading("[", whole(key.str()), "]");
      print_section(*inner, whole(key.str()), out);
    } else if (list_of_sections(node)) {
      for (const auto& entry : *node.as_array()) {
        heading("[[", whole(key.str()), "]]");
        print_section(*entry.as_table(), whole(key.str()), out);
      }
    }
  }
}

}  // namespace coho::trainer
