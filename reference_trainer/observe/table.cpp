#include "observe/table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <locale.h>
#include <wchar.h>

#include <coho/error.hpp>

#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

struct character {
  std::size_t bytes, columns;
};

// From Unicode's tables in the C library, queried in a separate locale, because the program leaves the locale of its
// environment alone.
std::size_t count_columns(char32_t code) {
  static const ::locale_t unicode = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (unicode == nullptr) return 1;
  const ::locale_t before = ::uselocale(unicode);
  const int columns = ::wcwidth(static_cast<wchar_t>(code));
  ::uselocale(before);
  // Characters that the tables do not know are drawn as one box; control characters after ASCII are not drawn.
  return columns >= 0 ? static_cast<std::size_t>(columns) : code < 0xA0 ? 0 : 1;
}

character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const auto bytes = std::max<std::size_t>(1, utf8_length(text));
  if (bytes == 1) return {1, lead >= 0x20 && lead != 0x7F};
  return {bytes, count_columns(utf8_code_point(text))};
}

// Line breaks would break the table; truncation is marked.
std::string fit(std::string_view text, std::size_t limit) {
  std::string flat(text);
  std::ranges::replace_if(
      flat, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  if (display_width(flat) <= limit) return flat;
  return std::string(first_columns(flat, std::max<std::size_t>(limit, 1) - 1)) + "…";
}

}  // namespace

bool is_number_cell(std::string_view cell) {
  if (cell.empty() || cell == "–") return true;
  const auto digit = cell.find_first_of("0123456789");
  return digit != std::string_view::npos && digit <= 2 &&
         cell.find_first_not_of("+-.,%×0123456789e –") == std::string_view::npos;
}

std::size_t display_width(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const auto next = first_character(text);
    columns += next.columns;
    text.remove_prefix(next.bytes);
  }
  return columns;
}

std::vector<std::string> wrap_text(std::string_view text, std::size_t columns) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (word.empty()) continue;
    if (out.empty() || display_width(out.back()) + 1 + display_width(word) > columns) {
      out.emplace_back(word);
    } else {
      out.back().append(" ").append(word);
    }
  }
  return out;
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  while (end < text.size()) {
    const auto next = first_character(text.substr(end));
    if (next.columns > columns) break;
    columns -= next.columns;
    end += next.bytes;
  }
  return text.substr(0, end);
}

void text_table::add_row(std::vector<std::string> cells) {
  require_argument(cells.size() <= columns_.size(), "a table row has more cells than the table has columns");
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string text_table::text(std::size_t max_cell) const {
  std::vector<std::vector<std::string>> lines{columns_};
  lines.insert(lines.end(), rows_.begin(), rows_.end());
  std::vector<std::size_t> widths(columns_.size());
  std::vector<bool> numeric(columns_.size(), true);
  for (std::size_t row = 0; row < lines.size(); ++row) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      auto& cell = lines[row][i] = fit(lines[row][i], max_cell);
      widths[i] = std::max(widths[i], display_width(cell));
      if (row > 0) numeric[i] = numeric[i] && is_number_cell(cell);
    }
  }
  std::string out;
  const auto put = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - display_width(cells[i]), ' ');
      line += (i == 0 ? "" : "  ") + (numeric[i] ? padding + cells[i] : cells[i] + padding);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  put(lines[0]);
  std::string rule;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    rule += i == 0 ? "" : "  ";
    for (std::size_t k = 0; k < widths[i]; ++k) rule += "─";
  }
  out += rule + "\n";
  for (std::size_t row = 1; row < lines.size(); ++row) put(lines[row]);
  return out;
}

std::string format_number(double value, int digits) {
  if (!std::isfinite(value)) return "–";
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  const std::string text = buffer;
  // "-0.00" is a rounded zero.
  return text.starts_with('-') && text.find_first_of("123456789") == std::string::npos ? text.substr(1) : text;
}

std::string format_short(double value) {
  if (!std::isfinite(value)) return "–";
  const double size = std::abs(value);
  char buffer[64];
  if (size == 0) return "0";
  if (size >= 1e6 || size < 1e-4) {
    std::snprintf(buffer, sizeof buffer, "%.2g", value);
  } else {
    const int digits = std::max(0, 2 - static_cast<int>(std::floor(std::log10(size))));
    std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
    if (std::string_view(buffer).find('.') != std::string_view::npos) {
      std::string text = buffer;
      text.resize(text.find_last_not_of('0') + 1);
      if (text.ends_with('.')) text.pop_back();
      return text;
    }
  }
  return buffer;
}

std::string format_bytes(double bytes) {
  static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) bytes /= 1024, ++unit;
  return format_number(bytes, unit == 0 ? 0 : 1) + " " + units[unit];
}

}  // namespace coho::trainer
