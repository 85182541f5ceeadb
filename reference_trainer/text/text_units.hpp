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
std::vector<std::size_t> text_unit_offsets(std::string_view text);

/// The n-grams of units (n = `length`), each as one text; none if there are fewer units.
std::vector<std::string> text_ngrams(std::span<const std::string> units, std::size_t length);

/// The fraction of n-grams (n = `length`) that occurred earlier in the same text: 1 − distinct / all. 0 for texts
/// without any.
double repeated_ngram_fraction(std::span<const std::string> units, std::size_t length);

/// The fraction of units inside an n-gram (n = `length`) that is one of `known`. 0 for an empty text.
double ngram_coverage(std::span<const std::string> units, std::size_t length,
                      const std::unordered_set<std::string>& known);

}  // namespace coho::trainer
