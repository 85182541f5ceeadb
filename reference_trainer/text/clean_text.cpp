#include "text/clean_text.hpp"

#include <algorithm>

#include "text/utf8.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

constexpr char32_t replacement_code = 0xFFFD;

// White space that is typed as a space. Not U+3000, which Chinese and Japanese use in typesetting.
bool is_typographic_space(char32_t c) {
  return c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F;
}

// Control characters, invisible format characters, and code points that are not characters.
bool is_dropped_character(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
  const bool invisible = c == 0xAD || c == 0x200B || c == 0x2060 || c == 0xFEFF || (c >= 0x202A && c <= 0x202E) ||
                         (c >= 0x2066 && c <= 0x2069);
  const bool no_character = (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
  return control || invisible || no_character;
}

// The length of the character at the start, 1 for an invalid byte.
struct next_character {
  char32_t code;
  std::size_t bytes;
};
// The first character of a text that is not empty; U+FFFD for a byte that is not UTF-8.
next_character decode_first(std::string_view text) {
  const std::size_t bytes = utf8_length(text);
  return bytes == 0 ? next_character{replacement_code, 1} : next_character{utf8_code_point(text), bytes};
}

}  // namespace

cleaned_text clean_text(std::string_view text) {
  cleaned_text out;
  out.text.reserve(text.size());
  std::size_t newlines = 0;  // pending, since nothing may follow
  std::string space;
  for (char32_t before = 0; !text.empty();) {
    const auto [code, bytes] = decode_first(text);
    ++out.characters;
    if (code == replacement_code) {
      ++out.unreadable;
    } else if (is_line_end(code)) {
      newlines += code == '\n' && before == '\r' ? 0 : 1;
      space.clear();
    } else if (is_white_space(code)) {
      space += is_typographic_space(code) ? std::string_view(" ") : text.substr(0, bytes);
    } else if (!is_dropped_character(code)) {
      if (!out.text.empty()) {
        out.text.append(std::min<std::size_t>(newlines, 2), '\n');
        out.text += space;
      }
      newlines = 0;
      space.clear();
      out.text += text.substr(0, bytes);
    }
    before = code;
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace coho::trainer
