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

std::string spelled(const std::string& value) { return "\"" + value + "\""; }

std::string spelled(const std::vector<std::string>& values) {
  std::vector<std::string> all;
  for (const auto& value : values) all.push_back(spelled(value));
  return "[" + joined(all, ", ") + "]";
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

}  // namespace coho::trainer
