#pragma once

// Values and sections of a TOML document by dotted keys. For the readers of recipes only: the TOML library is slow to
// compile, and its types are kept out of what stages include.

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <toml++/toml.h>

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

}  // namespace coho::trainer
