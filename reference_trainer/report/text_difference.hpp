#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// A stretch of a text, and whether the other text lacks it.
struct text_piece {
  std::string text;
  bool changed = false;
  friend bool operator==(const text_piece&, const text_piece&) = default;
};

/// Two texts in pieces; joined, the pieces are the texts again.
struct text_difference {
  std::vector<text_piece> before, after;
};

/// What two texts have in common, word by word (by a longest common subsequence; ideographs are words of their own,
/// white space belongs to what stands around it). Texts that share less than a third of their words, and pairs too long
/// to compare (more than 4 million pairs of words between their common ends), come back unmarked, one piece each: marks
/// all over would tell nothing.
text_difference compare_texts(std::string_view before, std::string_view after);

}  // namespace coho::trainer
