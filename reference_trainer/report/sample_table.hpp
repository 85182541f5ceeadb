#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace coho::trainer {

/// Responses to the same prompts, side by side. Long texts are folded behind their beginnings.
struct report_samples {
  std::string title{};
  std::vector<std::string> columns{};  ///< "before", "after", …
  struct row {
    std::string prompt;
    std::vector<std::string> responses;   ///< one a column
    std::string caption{};                ///< a small line below the prompt
    std::vector<std::string> captions{};  ///< and below each response; may be fewer
  };
  std::vector<row> rows{};
  /// One a column, or empty: the column that its texts are compared with, itself for none. Words that the other text
  /// lacks are marked (`compare_texts`); in the column compared with, only where a single one is compared with it.
  std::vector<std::size_t> compared_with{};
  std::string note{};
};

std::string render(const report_samples& samples);
/// The style sheet that they need, on top of the page's.
std::string_view sample_style();

}  // namespace coho::trainer
