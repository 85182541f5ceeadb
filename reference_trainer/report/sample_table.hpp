#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace coho::trainer {

/// Responses to the same prompts, side by side. Long texts are folded after their beginnings.
struct report_samples {
  std::string title{};
  std::vector<std::string> columns{};  ///< "before", "after", …
  struct row {
    std::string prompt;
    std::vector<std::string> responses;   ///< one per column
    std::string caption{};                ///< a small line below the prompt
    std::vector<std::string> captions{};  ///< and below each response; may be fewer
  };
  std::vector<row> rows{};
  /// One per column, or empty: the column that its texts are compared with; its own index for none. Words that the
  /// other text lacks are marked (`compare_texts`); in the reference column only if exactly one column is compared with
  /// it.
  std::vector<std::size_t> compared_with{};
  std::string note{};
};

/// The table as HTML. Throws `argument_error` if `compared_with` has the wrong length or names an unknown column.
std::string render(const report_samples& samples);
/// Their style sheet, in addition to the page's.
std::string_view sample_style();

}  // namespace coho::trainer
