// The cases of letters as Python has them: those of Unicode, with the mappings to several characters
// (SpecialCasing.txt).
#include "chat_template/values/case_mapping.hpp"

#include <algorithm>
#include <iterator>
#include <utf8proc.h>

namespace coho::trainer::jinja {

namespace {

struct mapping {
  char32_t from;
  std::u32string_view to;
};

constexpr mapping upper_mappings[] = {
    // clang-format off
    {0x00DF, U"SS"}, {0x0149, U"\u02BCN"}, {0x01F0, U"J\u030C"}, {0x0390, U"\u0399\u0308\u0301"},
    {0x03B0, U"\u03A5\u0308\u0301"}, {0x0587, U"\u0535\u0552"}, {0x1E96, U"H\u0331"}, {0x1E97, U"T\u0308"},
    {0x1E98, U"W\u030A"}, {0x1E99, U"Y\u030A"}, {0x1E9A, U"A\u02BE"}, {0x1F50, U"\u03A5\u0313"},
    {0x1F52, U"\u03A5\u0313\u0300"}, {0x1F54, U"\u03A5\u0313\u0301"}, {0x1F56, U"\u03A5\u0313\u0342"},
    {0x1F80, U"\u1F08\u0399"}, {0x1F81, U"\u1F09\u0399"}, {0x1F82, U"\u1F0A\u0399"}, {0x1F83, U"\u1F0B\u0399"},
    {0x1F84, U"\u1F0C\u0399"}, {0x1F85, U"\u1F0D\u0399"}, {0x1F86, U"\u1F0E\u0399"}, {0x1F87, U"\u1F0F\u0399"},
    {0x1F88, U"\u1F08\u0399"}, {0x1F89, U"\u1F09\u0399"}, {0x1F8A, U"\u1F0A\u0399"}, {0x1F8B, U"\u1F0B\u0399"},
    {0x1F8C, U"\u1F0C\u0399"}, {0x1F8D, U"\u1F0D\u0399"}, {0x1F8E, U"\u1F0E\u0399"}, {0x1F8F, U"\u1F0F\u0399"},
    {0x1F90, U"\u1F28\u0399"}, {0x1F91, U"\u1F29\u0399"}, {0x1F92, U"\u1F2A\u0399"}, {0x1F93, U"\u1F2B\u0399"},
    {0x1F94, U"\u1F2C\u0399"}, {0x1F95, U"\u1F2D\u0399"}, {0x1F96, U"\u1F2E\u0399"}, {0x1F97, U"\u1F2F\u0399"},
    {0x1F98, U"\u1F28\u0399"}, {0x1F99, U"\u1F29\u0399"}, {0x1F9A, U"\u1F2A\u0399"}, {0x1F9B, U"\u1F2B\u0399"},
    {0x1F9C, U"\u1F2C\u0399"}, {0x1F9D, U"\u1F2D\u0399"}, {0x1F9E, U"\u1F2E\u0399"}, {0x1F9F, U"\u1F2F\u0399"},
    {0x1FA0, U"\u1F68\u0399"}, {0x1FA1, U"\u1F69\u0399"}, {0x1FA2, U"\u1F6A\u0399"}, {0x1FA3, U"\u1F6B\u0399"},
    {0x1FA4, U"\u1F6C\u0399"}, {0x1FA5, U"\u1F6D\u0399"}, {0x1FA6, U"\u1F6E\u0399"}, {0x1FA7, U"\u1F6F\u0399"},
    {0x1FA8, U"\u1F68\u0399"}, {0x1FA9, U"\u1F69\u0399"}, {0x1FAA, U"\u1F6A\u0399"}, {0x1FAB, U"\u1F6B\u0399"},
    {0x1FAC, U"\u1F6C\u0399"}, {0x1FAD, U"\u1F6D\u0399"}, {0x1FAE, U"\u1F6E\u0399"}, {0x1FAF, U"\u1F6F\u0399"},
    {0x1FB2, U"\u1FBA\u0399"}, {0x1FB3, U"\u0391\u0399"}, {0x1FB4, U"\u0386\u0399"}, {0x1FB6, U"\u0391\u0342"},
    {0x1FB7, U"\u0391\u0342\u0399"}, {0x1FBC, U"\u0391\u0399"}, {0x1FC2, U"\u1FCA\u0399"}, {0x1FC3, U"\u0397\u0399"},
    {0x1FC4, U"\u0389\u0399"}, {0x1FC6, U"\u0397\u0342"}, {0x1FC7, U"\u0397\u0342\u0399"}, {0x1FCC, U"\u0397\u0399"},
    {0x1FD2, U"\u0399\u0308\u0300"}, {0x1FD3, U"\u0399\u0308\u0301"}, {0x1FD6, U"\u0399\u0342"},
    {0x1FD7, U"\u0399\u0308\u0342"}, {0x1FE2, U"\u03A5\u0308\u0300"}, {0x1FE3, U"\u03A5\u0308\u0301"},
    {0x1FE4, U"\u03A1\u0313"}, {0x1FE6, U"\u03A5\u0342"}, {0x1FE7, U"\u03A5\u0308\u0342"}, {0x1FF2, U"\u1FFA\u0399"},
    {0x1FF3, U"\u03A9\u0399"}, {0x1FF4, U"\u038F\u0399"}, {0x1FF6, U"\u03A9\u0342"}, {0x1FF7, U"\u03A9\u0342\u0399"},
    {0x1FFC, U"\u03A9\u0399"}, {0xFB00, U"FF"}, {0xFB01, U"FI"}, {0xFB02, U"FL"}, {0xFB03, U"FFI"}, {0xFB04, U"FFL"},
    {0xFB05, U"ST"}, {0xFB06, U"ST"}, {0xFB13, U"\u0544\u0546"}, {0xFB14, U"\u0544\u0535"}, {0xFB15, U"\u0544\u053B"},
    {0xFB16, U"\u054E\u0546"}, {0xFB17, U"\u0544\u053D"},
    // clang-format on
};

constexpr mapping title_mappings[] = {
    // clang-format off
    {0x00DF, U"Ss"}, {0x0149, U"\u02BCN"}, {0x01F0, U"J\u030C"}, {0x0390, U"\u0399\u0308\u0301"},
    {0x03B0, U"\u03A5\u0308\u0301"}, {0x0587, U"\u0535\u0582"}, {0x1E96, U"H\u0331"}, {0x1E97, U"T\u0308"},
    {0x1E98, U"W\u030A"}, {0x1E99, U"Y\u030A"}, {0x1E9A, U"A\u02BE"}, {0x1F50, U"\u03A5\u0313"},
    {0x1F52, U"\u03A5\u0313\u0300"}, {0x1F54, U"\u03A5\u0313\u0301"}, {0x1F56, U"\u03A5\u0313\u0342"},
    {0x1FB2, U"\u1FBA\u0345"}, {0x1FB4, U"\u0386\u0345"}, {0x1FB6, U"\u0391\u0342"}, {0x1FB7, U"\u0391\u0342\u0345"},
    {0x1FC2, U"\u1FCA\u0345"}, {0x1FC4, U"\u0389\u0345"}, {0x1FC6, U"\u0397\u0342"}, {0x1FC7, U"\u0397\u0342\u0345"},
    {0x1FD2, U"\u0399\u0308\u0300"}, {0x1FD3, U"\u0399\u0308\u0301"}, {0x1FD6, U"\u0399\u0342"},
    {0x1FD7, U"\u0399\u0308\u0342"}, {0x1FE2, U"\u03A5\u0308\u0300"}, {0x1FE3, U"\u03A5\u0308\u0301"},
    {0x1FE4, U"\u03A1\u0313"}, {0x1FE6, U"\u03A5\u0342"}, {0x1FE7, U"\u03A5\u0308\u0342"}, {0x1FF2, U"\u1FFA\u0345"},
    {0x1FF4, U"\u038F\u0345"}, {0x1FF6, U"\u03A9\u0342"}, {0x1FF7, U"\u03A9\u0342\u0345"}, {0xFB00, U"Ff"},
    {0xFB01, U"Fi"}, {0xFB02, U"Fl"}, {0xFB03, U"Ffi"}, {0xFB04, U"Ffl"}, {0xFB05, U"St"}, {0xFB06, U"St"},
    {0xFB13, U"\u0544\u0576"}, {0xFB14, U"\u0544\u0565"}, {0xFB15, U"\u0544\u056B"}, {0xFB16, U"\u054E\u0576"},
    {0xFB17, U"\u0544\u056D"},
    // clang-format on
};

// In a table ordered by `from`; null if the character maps to one character only.
template <std::size_t N>
const mapping* find_mapping(const mapping (&table)[N], char32_t c) {
  const auto found = std::ranges::lower_bound(table, c, {}, &mapping::from);
  return found != std::end(table) && found->from == c ? found : nullptr;
}

// utf8proc takes signed code points.
utf8proc_int32_t utf8proc_code_point(char32_t c) { return static_cast<utf8proc_int32_t>(c); }

}  // namespace

letter_case letter_case_of(char32_t c) noexcept {
  switch (utf8proc_category(utf8proc_code_point(c))) {
    case UTF8PROC_CATEGORY_LU:
      return letter_case::upper;
    case UTF8PROC_CATEGORY_LL:
      return letter_case::lower;
    case UTF8PROC_CATEGORY_LT:
      return letter_case::title;
    default:
      break;
  }
  // Letters of numerals, in circles and the modifiers have a case too.
  if ((c >= 0x2160 && c <= 0x216F) || (c >= 0x24B6 && c <= 0x24CF)) return letter_case::upper;
  if ((c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189))
    return letter_case::upper;
  if ((c >= 0x2170 && c <= 0x217F) || (c >= 0x24D0 && c <= 0x24E9) || c == 0xAA || c == 0xBA || c == 0x345)
    return letter_case::lower;
  if ((c >= 0x2B0 && c <= 0x2B8) || c == 0x2C0 || c == 0x2C1 || (c >= 0x2E0 && c <= 0x2E4) || c == 0x37A)
    return letter_case::lower;
  if ((c >= 0x1D2C && c <= 0x1D6A) || c == 0x1D78 || (c >= 0x1D9B && c <= 0x1DBF) || c == 0x2071 || c == 0x207F)
    return letter_case::lower;
  if ((c >= 0x2090 && c <= 0x209C) || c == 0x2C7C || c == 0x2C7D || c == 0xA69C || c == 0xA69D || c == 0xA770)
    return letter_case::lower;
  if (c == 0x10780 || (c >= 0x10783 && c <= 0x107BA && c != 0x10786 && c != 0x107B1)) return letter_case::lower;
  if (c == 0xA7F8 || c == 0xA7F9 || (c >= 0xAB5C && c <= 0xAB5F)) return letter_case::lower;
  return letter_case::none;
}

bool is_case_ignorable(char32_t c) noexcept {
  if (c == '\'' || c == '.' || c == ':' || c == '^' || c == '`' || c == 0xA8 || c == 0xAD || c == 0xAF || c == 0xB4 ||
      c == 0xB7 || c == 0xB8 || c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027)
    return true;
  switch (utf8proc_category(utf8proc_code_point(c))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return false;
  }
}

void append_upper_case(std::u32string& out, char32_t c) {
  if (const auto* const several = find_mapping(upper_mappings, c))
    out += several->to;
  else
    out += static_cast<char32_t>(utf8proc_toupper(utf8proc_code_point(c)));
}

void append_title_case(std::u32string& out, char32_t c) {
  if (const auto* const several = find_mapping(title_mappings, c))
    out += several->to;
  else
    out += static_cast<char32_t>(utf8proc_totitle(utf8proc_code_point(c)));
}

void append_lower_case(std::u32string& out, std::u32string_view text, std::size_t at) {
  const char32_t c = text[at];
  if (c == U'\u0130') {
    out += U"i\u0307";
  } else if (c == U'\u03A3') {
    // Sigma at the end of a word has a form of its own.
    std::size_t before = at, after = at + 1;
    while (before > 0 && is_case_ignorable(text[before - 1])) --before;
    while (after < text.size() && is_case_ignorable(text[after])) ++after;
    const bool follows = before > 0 && letter_case_of(text[before - 1]) != letter_case::none;
    const bool precedes = after < text.size() && letter_case_of(text[after]) != letter_case::none;
    out += follows && !precedes ? U'\u03C2' : U'\u03C3';
  } else {
    out += static_cast<char32_t>(utf8proc_tolower(utf8proc_code_point(c)));
  }
}

}  // namespace coho::trainer::jinja
