#pragma once

#include <string_view>

namespace coho::trainer {

/// The fraction of text that two texts share, 0 to 1: the Jaccard index of their sets of four consecutive
/// letters, ignoring case and everything except letters and digits; a difference of a word or two in a sentence gives
/// 0.8 and more. Works for scripts without spaces between words.
double text_overlap(std::string_view a, std::string_view b);

/// Whether a text ends like a sentence: with ". ! ? …" or their wide forms, optionally followed by quotes or brackets.
bool ends_as_sentence(std::string_view text);

}  // namespace coho::trainer
