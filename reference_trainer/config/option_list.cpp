#include "config/option_list.hpp"

#include <charconv>

namespace coho::trainer {
namespace {

std::string joined(const std::vector<std::string>& texts, const char* between) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : between) + text;
  return out;
}

// Presets that agree are listed once.
std::string defaults_of(const listed_option& option) {
  const auto same = [&](const std::string& text) { return text == option.defaults.front(); };
  return std::ranges::all_of(option.defaults, same) ? option.defaults.front() : joined(option.defaults, " / ");
}

// The terminal's width of a UTF-8 text without wide characters.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string in_code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

}  // namespace

std::string spelled(bool value) { return value ? "true" : "false"; }

std::string spelled(double value) {
  char buffer[64];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string spelled(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

std::string option_table(std::span<const listed_option> options) {
  std::vector<std::array<std::string, 3>> rows;
  std::array<std::size_t, 3> widths{};
  for (const auto& option : options) {
    auto& row = rows.emplace_back(std::array{option.key, defaults_of(option), option.allowed});
    if (!option.unit.empty()) row[1] += " " + option.unit;
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], std::min<std::size_t>(width_of(row[i]), 36));
  }
  std::string out;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const auto used = width_of(rows[k][i]);
      out += rows[k][i] + std::string(used < widths[i] ? widths[i] - used + 2 : 2, ' ');
    }
    out += options[k].meaning + "\n";
  }
  return out;
}

std::string option_markdown(std::span<const listed_option> options, std::span<const std::string> presets) {
  std::string out = "| key |", rule = "| --- |";
  for (const auto& preset : presets) {
    out += " " + preset + " |";
    rule += " --- |";
  }
  out += " allowed | unit | meaning |\n" + rule + " --- | --- | --- |\n";
  for (const auto& option : options) {
    out += "| " + in_code(option.key) + " |";
    for (std::size_t i = 0; i < presets.size(); ++i)
      out += " " + option.defaults[std::min(i, option.defaults.size() - 1)] + " |";
    out += " " + option.allowed + " | " + option.unit + " | " + option.meaning + " |\n";
  }
  return out;
}

const listed_option* option_section::find(std::string_view key) const {
  const auto found = std::ranges::find(options, key, &listed_option::key);
  return found == options.end() ? nullptr : &*found;
}

namespace {

/// A column of defaults: those of some forms under one of their presets.
struct default_column {
  std::string heading;
  std::vector<std::pair<const option_section*, std::size_t>> of;

  // Empty where none of its forms has the key.
  std::string text(std::string_view key) const {
    for (const auto& [form, preset] : of)
      if (const auto* option = form->find(key)) return option->defaults[std::min(preset, option->defaults.size() - 1)];
    return {};
  }
  bool agrees(const option_section& form, std::size_t preset) const {
    const default_column other{{}, {{&form, preset}}};
    return std::ranges::all_of(form.options, [&](const listed_option& option) {
      const auto here = text(option.key);
      return here.empty() || here == other.text(option.key);
    });
  }
};

}  // namespace

option_section joined_section(std::span<const std::pair<std::string, option_section>> forms) {
  std::vector<default_column> columns;
  option_section out{.name = forms.front().second.name, .presets = {}};
  for (const auto& [heading, form] : forms) {
    for (std::size_t preset = 0; preset < form.presets.size(); ++preset) {
      const std::string own = heading + (form.presets.size() > 1 ? " " + form.presets[preset] : "");
      const auto same = std::ranges::find_if(columns, [&](const auto& column) { return column.agrees(form, preset); });
      if (same == columns.end()) {
        columns.push_back({own, {{&form, preset}}});
      } else {
        same->heading += ", " + own;
        same->of.emplace_back(&form, preset);
      }
    }
    for (const auto& option : form.options)
      if (out.find(option.key) == nullptr) out.options.push_back(option);
  }
  if (columns.size() == 1) columns.front().heading = "default";
  for (const auto& column : columns) out.presets.push_back(column.heading);
  for (auto& option : out.options) {
    option.defaults.clear();
    for (const auto& column : columns) {
      const auto text = column.text(option.key);
      option.defaults.push_back(text.empty() ? "–" : text);
    }
  }
  return out;
}

}  // namespace coho::trainer
