#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// A part of a text, and whether the other text lacks it.
struct text_piece {
  std::string text;
  bool changed = false;
  friend bool operator==(const text_piece&, const text_piece&) = default;
};

/// Two texts in pieces; concatenated, the pieces are the texts again.
struct text_difference {
  std::vector<text_piece> before, after;
};

/// The common and differing parts of two texts, word by word (by a longest common subsequence; ideographs are words of
/// their own, white space belongs to its surroundings). Texts that share less than a third of their words, and pairs
/// too long to compare (more than 4 million pairs of words between their common ends), are returned unmarked, one piece
/// each: marks everywhere would not be informative.
text_difference compare_texts(std::string_view before, std::string_view after);

}  // namespace coho::trainer
