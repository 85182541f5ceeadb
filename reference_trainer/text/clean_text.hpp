#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace coho::trainer {

/// Whether Unicode counts the code point as white space.
bool is_white_space(char32_t code_point) noexcept;

/// Strips white space of any script at both ends. Invalid UTF-8 is not white space.
std::string_view trim_white_space(std::string_view text) noexcept;

/// Strips the given characters at both ends.
std::string_view trim_characters(std::string_view text, std::string_view characters = " \t\r\n") noexcept;

struct cleaned_text {
  std::string text;
  std::size_t characters = 0;  ///< read, including those left out
  std::size_t unreadable = 0;  ///< U+FFFD and bytes that are not UTF-8; they were left out
};

/// Text as people would have typed it: line ends become \n, no-break and typographic spaces a plain space; control
/// characters, invisible format characters (soft hyphens, zero-width spaces, byte order marks, direction overrides) and
/// unreadable bytes are removed; so are white space at the ends of lines and text and the second of two empty lines.
/// Joiners stay (emoji and Persian need them), and so do indentation and the ideographic space.
///
///     clean_text("\xEF\xBB\xBFHello,\u00A0world \r\n").text;  // "Hello, world"
cleaned_text clean_text(std::string_view text);

/// The common form of texts that differ only in case and white space: lower case in every script, white space runs as
/// one space, none at the ends.
std::string normalized_text(std::string_view text);

}  // namespace coho::trainer
