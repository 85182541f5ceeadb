#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// Levenshtein distance with transpositions counted as one (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, or an empty string when none is close enough to be a typo.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

/// The known key meant by an unknown one: of the same last name in another group or section, first in its own section,
/// else one of its section with a typo in the last name; empty: none.
std::string likely_key(const std::string& key, const std::vector<std::string>& known);

/// A number in the fewest digits that read back as the same number: "0.1", "1e-08", "inf".
std::string shortest_text(double number);

/// The text on one line: line breaks, tabs and other control characters as escapes ("\n", "\x1b").
std::string escape_controls(std::string_view text);

}  // namespace coho::trainer
