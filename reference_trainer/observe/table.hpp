#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// A table for the terminal: aligned columns, a rule under the heading, numbers right-aligned.
///
///     text_table table({"run", "reward", "KL"});
///     table.add_row({"plain", "1.32", "8.1"});
///     std::cout << table.text();
class text_table {
 public:
  explicit text_table(std::vector<std::string> columns) : columns_(std::move(columns)) {}
  /// A row with fewer cells than columns is padded with empty ones; with more, throws `argument_error`.
  void add_row(std::vector<std::string> cells);
  /// Lines, each with a final newline. Cells wider than `max_cell` columns end in "…".
  std::string text(std::size_t max_cell = 60) const;

  const std::vector<std::string>& columns() const noexcept { return columns_; }
  const std::vector<std::vector<std::string>>& rows() const noexcept { return rows_; }

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// A number with the given digits after the decimal point; "–" if it is not finite.
std::string format_number(double value, int digits = 2);
/// Few digits, enough for a value of its size: 1234, 12.3, 0.012, 3.4e-07.
std::string format_short(double value);
/// "812 B", "1.4 GiB".
std::string format_bytes(double bytes);

/// Whether a table right-aligns a cell: a number, a percentage, a range of them, a dash for none, or nothing.
bool is_number_cell(std::string_view cell);

/// The terminal columns of a text: code points, wide ones (CJK, emoji) counted twice, combining marks not at all.
std::size_t display_width(std::string_view text);

/// The lines of a text that is broken at its spaces to fit `columns`; a longer word has a line of its own. None for an
/// empty text.
std::vector<std::string> wrap_text(std::string_view text, std::size_t columns);
/// The longest prefix of a text that fits into the given number of columns.
std::string_view first_columns(std::string_view text, std::size_t columns);

}  // namespace coho::trainer
