#pragma once

// Conversions between TOML nodes and C++ values. For the readers of recipes only: the TOML library is slow to
// compile, and its types are kept out of what stages include.

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "config/spelling.hpp"

namespace coho::trainer {

// The parts of a dotted key; never empty: those of "" are one empty part.
inline std::vector<std::string> split_key(std::string_view key) {
  std::vector<std::string> parts(1);
  for (const char c : key) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// Whether every part is a name that TOML takes without quotes: letters, digits, _ and -.
inline bool is_bare_key(std::string_view key) {
  const auto parts = split_key(key);
  return std::ranges::all_of(parts, [](const std::string& part) {
    return !part.empty() &&
           std::ranges::all_of(part, [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; });
  });
}

// An entry of a list of sections, by its name or by its number from 0; null where the list has none.
template <class List>
auto* find_entry(List& list, std::string_view part) {
  using table = std::remove_pointer_t<decltype(list.get(0)->as_table())>;
  std::size_t place = 0;
  for (auto& item : list) {
    auto* entry = item.as_table();
    if (entry != nullptr && (*entry)["name"].template value<std::string_view>() == part) return entry;
  }
  const auto read = std::from_chars(part.data(), part.data() + part.size(), place);
  const bool number = read.ec == std::errc() && read.ptr == part.data() + part.size();
  return number && place < list.size() ? list.get(place)->as_table() : static_cast<table*>(nullptr);
}

// The value or section of a dotted key; null where a part of the key is absent or a value.
inline const toml::node* find_node(const toml::table& root, std::string_view key) {
  const toml::node* node = &root;
  for (const auto& part : split_key(key)) {
    if (const auto* list = node->as_array()) {
      node = find_entry(*list, part);
    } else {
      const auto* table = node->as_table();
      node = table == nullptr ? nullptr : table->get(part);
    }
    if (node == nullptr) return nullptr;
  }
  return node;
}

// The section that holds a key's last part, created where absent; null where a value is in the way, or a list of
// sections has no such entry.
inline toml::table* make_parent_section(toml::table& root, const std::vector<std::string>& parts) {
  auto* table = &root;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    auto* next = table->get(parts[i]);
    if (next == nullptr) next = &table->insert(parts[i], toml::table{}).first->second;
    if (auto* list = next->as_array()) {
      if (i + 2 >= parts.size()) return nullptr;
      table = find_entry(*list, parts[++i]);
    } else {
      table = next->as_table();
    }
    if (table == nullptr) return nullptr;
  }
  return table;
}

// Sets a key and creates its sections; without effect where `make_parent_section` finds none.
template <class Value>
void store(toml::table& root, std::string_view key, Value&& value) {
  const auto parts = split_key(key);
  if (auto* parent = make_parent_section(root, parts))
    parent->insert_or_assign(parts.back(), std::forward<Value>(value));
}

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

// The type of a value with its article, as in "sft.epochs is a string".
inline std::string_view describe_type(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::table:
      return "a section";
    default:
      return "a date or time";
  }
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

// For template arguments of `convert` and the others below.
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};

// What a key of type T takes, as in "expected a number".
template <class T>
std::string expected_type() {
  if constexpr (std::is_same_v<T, bool>)
    return "true or false";
  else if constexpr (std::is_unsigned_v<T>)
    return "an integer, 0 or more";
  else if constexpr (std::is_integral_v<T>)
    return "an integer";
  else if constexpr (std::is_floating_point_v<T>)
    return "a number";
  else if constexpr (is_vector<T>::value)
    return "a list of values, each " + expected_type<typename T::value_type>();
  else
    return "a string";
}

// The value as a T; nothing where it is of another type or does not fit: 1.0 and 1e6 are integers too, a single value
// is also a list of one.
template <class T>
std::optional<T> convert(const toml::node& node) {
  if constexpr (std::is_same_v<T, bool>) {
    return node.is_boolean() ? std::optional(node.as_boolean()->get()) : std::nullopt;
  } else if constexpr (std::is_integral_v<T>) {
    std::int64_t number = 0;
    if (const auto* integer = node.as_integer()) {
      number = integer->get();
    } else if (const auto* real = node.as_floating_point()) {  // 1e6 reads as a float
      if (!(std::abs(real->get()) <= 0x1p53) || std::trunc(real->get()) != real->get()) return std::nullopt;
      number = static_cast<std::int64_t>(real->get());
    } else {
      return std::nullopt;
    }
    if (!std::in_range<T>(number)) return std::nullopt;
    return static_cast<T>(number);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (const auto* integer = node.as_integer()) return static_cast<T>(integer->get());
    if (const auto* real = node.as_floating_point()) return real->get();
    return std::nullopt;
  } else if constexpr (is_vector<T>::value) {
    T out;
    const auto* list = node.as_array();
    if (list == nullptr) {
      auto single = convert<typename T::value_type>(node);
      if (!single) return std::nullopt;
      out.push_back(std::move(*single));
      return out;
    }
    for (const auto& item : *list) {
      auto value = convert<typename T::value_type>(item);
      if (!value) return std::nullopt;
      out.push_back(std::move(*value));
    }
    return out;
  } else {
    return node.is_string() ? std::optional<T>(node.as_string()->get()) : std::nullopt;
  }
}

// Sets a key to a C++ value: paths as strings.
template <class T>
void store_typed(toml::table& root, std::string_view key, const T& value) {
  if constexpr (is_vector<T>::value) {
    toml::array list;
    for (const auto& item : value) {
      if constexpr (std::is_same_v<T, std::vector<std::filesystem::path>>) {
        list.push_back(item.string());
      } else {
        list.push_back(item);
      }
    }
    store(root, key, std::move(list));
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    store(root, key, value.string());
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    // TOML integers are signed; a default such as "no limit" above that range is written as the largest.
    const auto limit = std::numeric_limits<std::int64_t>::max();
    store(root, key, std::in_range<std::int64_t>(value) ? static_cast<std::int64_t>(value) : limit);
  } else {
    store(root, key, value);
  }
}

// Appends every dotted key below a section that has a value. An empty section counts as one; entries of a list of
// sections are named by their `name`, or by their number from 0.
inline void collect_leaves(const toml::table& table, const std::string& prefix, std::vector<std::string>& out) {
  for (const auto& [name, node] : table) {
    const auto key = prefix + std::string(name.str());
    const auto* inner = node.as_table();
    if (const auto* list = node.as_array(); list != nullptr && list->is_array_of_tables()) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        const auto& entry = *list->get(i)->as_table();
        collect_leaves(entry, key + "." + entry["name"].value<std::string>().value_or(std::to_string(i)) + ".", out);
      }
    } else if (inner == nullptr || inner->empty()) {
      out.push_back(key);
    } else {
      collect_leaves(*inner, key + ".", out);
    }
  }
}

}  // namespace coho::trainer
