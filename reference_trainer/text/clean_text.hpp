#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace coho::trainer {

/// Whether Unicode counts the code point as white space.
bool is_white_space(char32_t code_point) noexcept;

/// Without white space of any script at its ends. What is not UTF-8 is no white space.
std::string_view trim_white_space(std::string_view text) noexcept;

struct cleaned_text {
  std::string text;
  std::size_t characters = 0;  ///< read, those that were left out included
  std::size_t unreadable = 0;  ///< U+FFFD and bytes that are not UTF-8; they were left out
};

/// Text as people would have typed it: line ends become \n, no-break and typographic spaces a plain space; control
/// characters, invisible format characters (soft hyphens, zero-width spaces, byte order marks, direction overrides) and
/// what is unreadable are left out; no white space at the ends of lines and text, no two empty lines in a row. Joiners
/// stay (emoji and Persian need them), and so do indentation and the ideographic space.
///
///     clean_text("\xEF\xBB\xBFHello,\u00A0world \r\n").text;  // "Hello, world"
cleaned_text clean_text(std::string_view text);

/// What two texts have in common that differ in case and white space alone: lower case in every script, white space
/// runs as one space, none at the ends.
std::string normalized_text(std::string_view text);

}  // namespace coho::trainer
