#include "jsonl/column_choice.hpp"

#include <charconv>
#include <cstddef>
#include <utility>

#include <nlohmann/json.hpp>

namespace coho::trainer {

const json* find_column(const json& record, std::string_view path) {
  if (record.is_object()) {
    if (const auto whole = record.find(std::string(path)); whole != record.end()) return &*whole;
  }
  const auto dot = path.find('.');
  const auto first = path.substr(0, dot);
  const json* inner = nullptr;
  if (record.is_object()) {
    const auto found = record.find(std::string(first));
    if (found != record.end()) inner = &*found;
  } else if (record.is_array()) {
    std::size_t i = 0;
    const auto [end, failure] = std::from_chars(first.data(), first.data() + first.size(), i);
    if (failure == std::errc() && end == first.data() + first.size() && i < record.size()) inner = &record[i];
  }
  if (inner == nullptr || dot == std::string_view::npos) return inner;
  return find_column(*inner, path.substr(dot + 1));
}

column_path parse_column(std::string_view text) {
  const bool optional = text.ends_with('?');
  if (optional) text.remove_suffix(1);
  return {text, optional};
}

std::optional<std::string> choose_columns(json& record, const column_choice& columns) {
  json out = json::object();
  for (const auto& [name, column] : columns) {
    const auto [path, optional] = parse_column(column);
    if (const json* value = find_column(record, path)) {
      out[name] = *value;
    } else if (!optional) {
      return std::string(path);
    }
  }
  record = std::move(out);
  return std::nullopt;
}

std::string missing_column_text(std::string_view path) { return "there is no column \"" + std::string(path) + "\""; }

std::string existing_columns_text(const json& record) {
  if (!record.is_object()) return "the value is of type " + std::string(record.type_name()) + ", not an object";
  std::string all;
  for (const auto& [name, ignored] : record.items()) all += (all.empty() ? "" : ", ") + name;
  return "the columns are " + (all.empty() ? "none" : all) + "; end the name with ? where records may lack it";
}

}  // namespace coho::trainer
