#include "config/option_list.hpp"

#include <array>
#include <string_view>
#include <utility>

#include "config/spelling.hpp"
#include "observe/format.hpp"

namespace coho::trainer {
namespace {

// The texts with a separator between them.
std::string join(const std::vector<std::string>& texts, const char* between) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : between) + text;
  return out;
}

// Presets that agree are listed once.
std::string default_text(const listed_option& option) {
  const auto same = [&](const std::string& text) { return text == option.defaults.front(); };
  return std::ranges::all_of(option.defaults, same) ? option.defaults.front() : join(option.defaults, " / ");
}

constexpr std::size_t page_width = 100;
constexpr std::string_view indent = "    ";  // of what belongs to the key above

// Columns of at most these widths; what does not fit is on lines of its own, below the key. The last column has what is
// left of the page.
constexpr std::array<std::string_view, 4> headings{"key", "default", "unit", "allowed values"};
constexpr std::array<std::size_t, 3> widest{46, 24, 12};

using option_row = std::array<std::string, 4>;

// Of each column the widest cell that is within its limit; the last has the rest of the page.
std::array<std::size_t, 4> column_widths(std::span<const option_row> rows) {
  std::array<std::size_t, 4> widths{};
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    widths[i] = headings[i].size();
    for (const auto& row : rows)
      if (const auto width = display_width(row[i]); width <= widest[i]) widths[i] = std::max(widths[i], width);
  }
  widths.back() = page_width - widths[0] - widths[1] - widths[2] - 6;
  return widths;
}

// Cells with two spaces between, without spaces at the end.
std::string align_row(const option_row& row, const std::array<std::size_t, 4>& widths) {
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i)
    out += row[i] + std::string(widths[i] - std::min(widths[i], display_width(row[i])) + 2, ' ');
  out.erase(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

// A text below its key, wrapped to the page.
std::string indented_lines(const std::string& text) {
  std::string out;
  for (const auto& line : wrap_text(text, page_width - indent.size())) out += std::string(indent) + line + "\n";
  return out;
}

// For Markdown; an empty cell stays empty.
std::string as_code(const std::string& text) { return text.empty() ? "" : "`" + text + "`"; }

}  // namespace

std::string toml_text(bool value) { return value ? "true" : "false"; }

std::string toml_text(double value) { return shortest_text(value); }

std::string toml_text(const std::map<std::string, std::string>& values) {
  std::string out;
  for (const auto& [name, value] : values) out += (out.empty() ? " " : ", ") + name + " = " + toml_text(value);
  return "{" + out + (out.empty() ? "}" : " }");
}

std::string toml_text(const std::string& value) {
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
  std::vector<option_row> rows;
  for (const auto& option : options) rows.push_back({option.key, default_text(option), option.unit, option.allowed});
  const auto widths = column_widths(rows);
  std::string out = align_row(
      {std::string(headings[0]), std::string(headings[1]), std::string(headings[2]), std::string(headings[3])}, widths);
  out += std::string(page_width, '-') + "\n";
  for (std::size_t k = 0; k < rows.size(); ++k) {
    std::string more;
    for (std::size_t i = 1; i < rows[k].size(); ++i)
      if (display_width(rows[k][i]) > widths[i])
        more += indented_lines(std::string(headings[i]) + ": " + std::exchange(rows[k][i], "see below"));
    out += align_row(rows[k], widths) + indented_lines(options[k].meaning) + more;
  }
  if (std::ranges::any_of(options, &listed_option::optional_group))
    out += "\n\"off (x)\": the group is off until one of its keys is given; x is then the default.\n";
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
    out += "| " + as_code(option.key) + " |";
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
  // Whether the form's defaults under that preset are those of the column, as far as both have the keys.
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
