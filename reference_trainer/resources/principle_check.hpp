#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// One finding of a check of a collection.
struct principle_finding {
  std::string place;  ///< "entry 3 (\"Concise\")", or empty for the whole collection
  std::string text;
  bool wrong = true;  ///< false: a note, possibly intended
};

/// One entry of a collection, as far as it can be read.
struct principle_measures {
  std::string name, definition, negative_definition;
  double weight = 1.0;
  double drawn = 0;  ///< the probability of being among the k principles of a prompt
  /// Of the definition; tokens: 0 without a tokenizer.
  std::size_t characters = 0, words = 0, tokens = 0;
};

/// What a check found.
struct principle_report {
  std::vector<principle_measures> entries;
  std::vector<principle_finding> findings;
  bool is_sound() const;  ///< no finding is wrong
};

struct principle_check_options {
  std::size_t drawn_together = 3;  ///< k
  double near_same = 0.7;          ///< the share of common text from which definitions count as near-identical
  std::function<std::size_t(std::string_view)> count_tokens{};
};

/// Reads a collection like load_principles, but continues after errors and reports all of them: members missing, empty,
/// mistyped or unknown; weights that are negative, or all 0; repeated names; definitions that are identical or nearly
/// so (text_overlap), also a negative definition equal to its positive one; definitions that do not end as sentences; a
/// negation missing where others have one. Notes: a collection without negations, entries of weight 0, fewer drawable
/// principles than `drawn_together`. Throws `file_error` for a file that is missing, not JSON or not a list,
/// `option_error` for options out of range.
principle_report check_principle_file(const std::filesystem::path& path, const principle_check_options& options = {});

}  // namespace coho::trainer
