#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace coho::trainer::jinja {

enum class letter_case : std::uint8_t { none, lower, upper, title };

/// The case as Python has it: of numerals, letters in circles and modifiers too.
letter_case letter_case_of(char32_t c) noexcept;
/// Unicode's Case_Ignorable: marks and signs that are skipped where a letter's neighbours matter.
bool is_case_ignorable(char32_t c) noexcept;

/// The capital, up to three characters: "ß" becomes "SS".
void append_upper_case(std::u32string& out, char32_t c);
/// The capital at the start of a word: "ǆ" becomes "ǅ".
void append_title_case(std::u32string& out, char32_t c);
/// The small letter of the character at a position: that of sigma depends on its neighbours.
void append_lower_case(std::u32string& out, std::u32string_view text, std::size_t at);

}  // namespace coho::trainer::jinja
