#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace coho::trainer {

/// The words of a text, for comparing texts: runs of letters and digits, ASCII letters in lower case. In scripts that
/// put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each character counts as a word.
/// Punctuation, ASCII symbols and white space separate words and are left out.
///
///     text_units("The fox -- the FOX!");  // {"the", "fox", "the", "fox"}
std::vector<std::string> text_units(std::string_view text);

/// The byte offset of each unit of `text_units`.
std::vector<std::size_t> text_unit_places(std::string_view text);

/// Each run of `length` consecutive units as one text; none if there are fewer units.
std::vector<std::string> text_runs(std::span<const std::string> units, std::size_t length);

/// The fraction of runs of `length` units that occurred earlier in the same text: 1 − distinct / all. 0 for texts
/// without such a run.
double repeated_share(std::span<const std::string> units, std::size_t length);

/// The fraction of units inside a run of `length` units that is one of `known`. 0 for an empty text.
double covered_share(std::span<const std::string> units, std::size_t length,
                     const std::unordered_set<std::string>& known);

}  // namespace coho::trainer
