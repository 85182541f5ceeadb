#include "text/white_space.hpp"

#include <algorithm>

#include "text/utf8.hpp"

namespace coho::trainer {

bool is_line_end(char32_t c) noexcept { return (c >= 0x0A && c <= 0x0D) || c == 0x85 || c == 0x2028 || c == 0x2029; }

bool is_white_space(char32_t c) noexcept {
  return c == ' ' || c == '\t' || is_line_end(c) || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string_view trim_leading_white_space(std::string_view text) noexcept {
  for (std::size_t length = 0; (length = utf8_length(text)) > 0 && is_white_space(utf8_code_point(text));)
    text.remove_prefix(length);
  return text;
}

std::string_view trim_trailing_white_space(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto last = text.substr(utf8_previous(text, text.size()));
    if (utf8_length(last) != last.size() || !is_white_space(utf8_code_point(last))) break;
    text.remove_suffix(last.size());
  }
  return text;
}

std::string_view trim_white_space(std::string_view text) noexcept {
  return trim_trailing_white_space(trim_leading_white_space(text));
}

std::string_view trim_characters(std::string_view text, std::string_view characters) noexcept {
  text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
  return text.substr(0, text.find_last_not_of(characters) + 1);
}

std::size_t count_words(std::string_view text) noexcept {
  std::size_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool white_space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    words += !white_space && !inside;
    inside = !white_space;
  }
  return words;
}

std::string unify_line_breaks(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') out += text[i];
  return out;
}

}  // namespace coho::trainer
