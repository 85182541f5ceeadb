#include "observe/table.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "observe/format.hpp"

namespace coho::trainer {

namespace {

// Line breaks would break the table; truncation is marked.
std::string fit_cell(std::string_view text, std::size_t limit) {
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
      auto& cell = lines[row][i] = fit_cell(lines[row][i], max_cell);
      widths[i] = std::max(widths[i], display_width(cell));
      if (row > 0) numeric[i] = numeric[i] && is_number_cell(cell);
    }
  }
  std::string out;
  const auto append_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - display_width(cells[i]), ' ');
      line += (i == 0 ? "" : "  ") + (numeric[i] ? padding + cells[i] : cells[i] + padding);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  append_line(lines[0]);
  std::string rule;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    rule += i == 0 ? "" : "  ";
    for (std::size_t k = 0; k < widths[i]; ++k) rule += "─";
  }
  out += rule + "\n";
  for (std::size_t row = 1; row < lines.size(); ++row) append_line(lines[row]);
  return out;
}

}  // namespace coho::trainer
