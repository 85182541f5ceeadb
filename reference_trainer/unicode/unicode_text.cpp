#include "unicode/unicode_text.hpp"

#include <algorithm>
#include <memory>
#include <utf8proc.h>

#include <coho/error.hpp>

#include "text/utf8.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

struct free_text {
  void operator()(utf8proc_uint8_t* text) const noexcept { std::free(text); }
};

/// Characters below U+0300 are the same in NFC, and ASCII is the same in every form.
bool is_already_normalized(std::string_view text, unicode_form form) {
  const unsigned char first = form == unicode_form::nfc ? 0xCC : 0x80;
  return std::ranges::all_of(text, [&](char c) { return static_cast<unsigned char>(c) < first; });
}

// utf8proc numbers the categories of a group in sequence.
bool between(int first, utf8proc_category_t value, int last) noexcept { return first <= value && value <= last; }

// Removes the first character of a text that is not empty, and returns it: a byte that is not UTF-8 by itself.
char32_t take_character(std::string_view& text) {
  const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
  const char32_t c = length == 1 ? static_cast<unsigned char>(text.front()) : utf8_code_point(text);
  text.remove_prefix(length);
  return c;
}

// Appends the simple lower-case form of a character.
void append_lower_case(std::string& out, char32_t c) {
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  if (c == U'\u0130') append_utf8(out, U'\u0307');  // the only one that becomes two: i with a dot above
}

}  // namespace

utf8proc_category_t general_category(char32_t c) noexcept {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

std::string normalize_unicode(std::string_view text, unicode_form form) {
  if (is_already_normalized(text, form)) return std::string(text);
  const bool composed = form == unicode_form::nfc || form == unicode_form::nfkc;
  const bool compatible = form == unicode_form::nfkc || form == unicode_form::nfkd;
  const auto options = static_cast<utf8proc_option_t>(
      UTF8PROC_STABLE | (composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | (compatible ? UTF8PROC_COMPAT : 0));
  utf8proc_uint8_t* out = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &out, options);
  const std::unique_ptr<utf8proc_uint8_t, free_text> owner(out);
  if (size < 0) throw argument_error(std::string("cannot normalise a text: ") + utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(out), static_cast<std::size_t>(size)};
}

std::string to_lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) append_lower_case(out, take_character(text));
  return out;
}

std::string normalize_for_comparison(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool gap = false;
  while (!text.empty()) {
    const char32_t c = take_character(text);
    if (is_white_space(c)) {
      gap = !out.empty();
      continue;
    }
    if (gap) out += ' ';
    gap = false;
    append_lower_case(out, c);
  }
  return out;
}

bool is_numeric(char32_t c) noexcept {
  return c < 0x80 ? c >= '0' && c <= '9' : between(UTF8PROC_CATEGORY_ND, general_category(c), UTF8PROC_CATEGORY_NO);
}

bool is_punctuation(char32_t c) noexcept {
  if (c < 0x80) return c > ' ' && c < 0x7F && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
  return between(UTF8PROC_CATEGORY_PC, general_category(c), UTF8PROC_CATEGORY_PO);
}

bool is_word_character(char32_t c) noexcept {
  if (c < 0x80) return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
  // Alphabetic symbols: letters in circles and squares.
  const bool letter = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                      (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  if (letter || c == 0x200C || c == 0x200D) return true;
  const auto kind = general_category(c);
  return between(UTF8PROC_CATEGORY_LU, kind, UTF8PROC_CATEGORY_NL) || kind == UTF8PROC_CATEGORY_PC;
}

}  // namespace coho::trainer
