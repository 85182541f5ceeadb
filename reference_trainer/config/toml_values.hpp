#pragma once

// Conversions between TOML nodes and C++ values. For the readers of recipes only: the TOML library is slow to
// compile, and its types are kept out of what stages include.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "config/toml_keys.hpp"

namespace coho::trainer {

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
  else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>)
    return "a section of texts, such as { prompt = \"question\" }";
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
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    const auto* table = node.as_table();
    if (table == nullptr) return std::nullopt;
    T out;
    for (const auto& [name, value] : *table) {
      if (!value.is_string()) return std::nullopt;
      out.emplace(name.str(), value.as_string()->get());
    }
    return out;
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
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    if (value.empty()) return;
    toml::table names;
    for (const auto& [name, text] : value) names.insert(name, text);
    store(root, key, std::move(names));
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
