#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "report/chart.hpp"
#include "report/sample_table.hpp"

namespace coho::trainer {

/// A table of the report. Cells that look like numbers are right-aligned.
struct report_table {
  std::string title{};
  std::vector<std::string> columns{};
  std::vector<std::vector<std::string>> rows{};
  std::string note{};
  bool folded = false;  ///< only its title is shown until it is opened
};

/// Figures with their bounds.
struct report_checks {
  std::string title{};
  struct row {
    std::string name, value, bound;
    bool held = false;
  };
  std::vector<row> rows{};
};

/// The content of a report page, from any source.
struct report {
  std::string title;
  std::string subtitle{};
  /// Shown large at the top: {"label", "value"}.
  std::vector<std::pair<std::string, std::string>> figures{};
  struct section {
    std::string heading;
    std::string text{};  ///< paragraphs, separated by blank lines
    std::vector<std::variant<line_chart, bar_chart, report_table, report_samples, report_checks>> parts{};
  };
  std::vector<section> sections{};
  std::string footer{};
};

/// One self-contained HTML page: no script, no address outside the page. It is well-formed XML after its document type,
/// so that other programs can read it.
std::string render(const report& content);
/// Writes the page atomically. Throws `file_error`.
void write_report(const std::filesystem::path& path, const report& content);

}  // namespace coho::trainer
