#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace coho::trainer {

/// A text after `clean_text`, with what was read.
struct cleaned_text {
  std::string text{};
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

}  // namespace coho::trainer
