#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace coho::trainer {

/// The words of a text for comparing texts with each other: runs of letters and digits, ASCII letters in lower case.
/// Scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) count each character as a
/// word. Punctuation, symbols of ASCII and white space separate and are left out.
///
///     text_units("The fox -- the FOX!");  // {"the", "fox", "the", "fox"}
std::vector<std::string> text_units(std::string_view text);

/// The byte at which each unit of `text_units` begins.
std::vector<std::size_t> text_unit_places(std::string_view text);

/// Each run of `length` neighbouring units as one text; none when there are fewer units.
std::vector<std::string> text_runs(std::span<const std::string> units, std::size_t length);

/// The share of the runs of `length` units that have occurred before in the same text: 1 − distinct / all. 0 for texts
/// without such a run.
double repeated_share(std::span<const std::string> units, std::size_t length);

/// The share of the units that lie in a run of `length` units which is one of `known`. 0 for an empty text.
double covered_share(std::span<const std::string> units, std::size_t length,
                     const std::unordered_set<std::string>& known);

}  // namespace coho::trainer
