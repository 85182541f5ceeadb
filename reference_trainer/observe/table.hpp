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
  /// The headings.
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

/// Whether a table right-aligns a cell: a number, a percentage, a range of them, a dash for none, or nothing.
bool is_number_cell(std::string_view cell);

}  // namespace coho::trainer
