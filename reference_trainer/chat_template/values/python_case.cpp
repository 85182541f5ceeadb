// Python's methods of `str` that concern cases and classes of characters.
#include <algorithm>
#include <array>
#include <utf8proc.h>
#include <utility>

#include "chat_template/errors/template_error.hpp"
#include "chat_template/values/case_mapping.hpp"
#include "chat_template/values/python_text.hpp"
#include "text/utf8.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer::jinja {

namespace {

// ASCII has a quicker path: most texts of templates are.
bool is_ascii_text(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// The inverse of `code_points`.
std::string utf8_text(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

// `str.isalpha` of one character: categories Lu, Ll, Lt, Lm and Lo.
bool is_letter(char32_t c) {
  const auto found = general_category(c);
  return found >= UTF8PROC_CATEGORY_LU && found <= UTF8PROC_CATEGORY_LO;
}

// `str.isdecimal` of one character: category Nd.
bool is_decimal(char32_t c) { return general_category(c) == UTF8PROC_CATEGORY_ND; }

// Digits that are not decimal: superscripts, subscripts, in circles, in parentheses, with stops.
bool is_digit(char32_t c) {
  static constexpr std::pair<char32_t, char32_t> ranges[] = {
      {0xB2, 0xB3},     {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},   {0x2070, 0x2070},
      {0x2074, 0x2079}, {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},   {0x2488, 0x2490},
      {0x24EA, 0x24EA}, {0x24F5, 0x24FD},   {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
      {0x278A, 0x2792}, {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
  return is_decimal(c) ||
         std::ranges::any_of(ranges, [&](const auto& range) { return range.first <= c && c <= range.second; });
}

// `str.isalnum` of one character: a letter, or of category Nd, Nl or No.
bool is_alphanumeric(char32_t c) {
  return is_letter(c) || (general_category(c) >= UTF8PROC_CATEGORY_ND && general_category(c) <= UTF8PROC_CATEGORY_NO);
}

// A text of cased characters, at least one, that all pass.
template <class Passes>
bool all_cased(std::string_view text, Passes passes) {
  bool any = false;
  for (const char32_t c : code_points(text)) {
    const auto found = letter_case_of(c);
    if (found == letter_case::none) continue;
    if (!passes(found)) return false;
    any = true;
  }
  return any;
}

}  // namespace

bool is_printable(char32_t c) noexcept {
  if (c < 0x7F) return c >= ' ';
  switch (general_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string upper_case(std::string_view text) {
  std::string ascii(text);
  if (is_ascii_text(text)) {
    for (char& c : ascii) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return ascii;
  }
  std::u32string out;
  for (const char32_t c : code_points(text)) append_upper_case(out, c);
  return utf8_text(out);
}

std::string lower_case(std::string_view text) {
  std::string ascii(text);
  if (is_ascii_text(text)) {
    for (char& c : ascii) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return ascii;
  }
  std::u32string out;
  const auto points = code_points(text);
  for (std::size_t i = 0; i < points.size(); ++i) append_lower_case(out, points, i);
  return utf8_text(out);
}

std::string title_case(std::string_view text) {
  std::u32string out;
  const auto points = code_points(text);
  bool within = false;
  for (std::size_t i = 0; i < points.size(); ++i) {
    within ? append_lower_case(out, points, i) : append_title_case(out, points[i]);
    within = letter_case_of(points[i]) != letter_case::none;
  }
  return utf8_text(out);
}

std::string capitalize_text(std::string_view text) {
  std::u32string out;
  const auto points = code_points(text);
  for (std::size_t i = 0; i < points.size(); ++i)
    i == 0 ? append_title_case(out, points[0]) : append_lower_case(out, points, i);
  return utf8_text(out);
}

std::string swap_case(std::string_view text) {
  std::u32string out;
  const auto points = code_points(text);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto found = letter_case_of(points[i]);
    if (found == letter_case::upper)
      append_lower_case(out, points, i);
    else if (found == letter_case::lower)
      append_upper_case(out, points[i]);
    else
      out += points[i];
  }
  return utf8_text(out);
}

bool is_upper_case(std::string_view text) {
  return all_cased(text, [](letter_case found) { return found == letter_case::upper; });
}

bool is_lower_case(std::string_view text) {
  return all_cased(text, [](letter_case found) { return found == letter_case::lower; });
}

bool is_title_case(std::string_view text) {
  bool within = false, any = false;
  for (const char32_t c : code_points(text)) {
    const auto found = letter_case_of(c);
    const bool begins = found == letter_case::upper || found == letter_case::title;
    if (found != letter_case::none && begins == within) return false;
    within = found != letter_case::none;
    any = any || within;
  }
  return any;
}

bool all_characters_are(std::string_view text, std::string_view property) {
  using predicate = bool (*)(char32_t);
  static constexpr std::array<std::pair<std::string_view, predicate>, 6> properties = {{
      {"alpha", [](char32_t c) { return is_letter(c); }},
      {"digit", [](char32_t c) { return is_digit(c); }},
      {"decimal", [](char32_t c) { return is_decimal(c); }},
      {"alnum", [](char32_t c) { return is_alphanumeric(c); }},
      {"space", [](char32_t c) { return is_space(c); }},
      {"printable", [](char32_t c) { return is_printable(c); }},
  }};
  if (property == "ascii") return is_ascii_text(text);
  if (property == "printable" && text.empty()) return true;
  for (const auto& [name, passes] : properties)
    if (name == property) return !text.empty() && std::ranges::all_of(code_points(text), passes);
  throw failure("str.is" + std::string(property) + " is not supported");
}

}  // namespace coho::trainer::jinja
