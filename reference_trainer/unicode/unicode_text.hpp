#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utf8proc.h>

namespace coho::trainer {

/// The normalisation forms of Unicode Standard Annex 15.
enum class unicode_form : std::uint8_t { nfc, nfd, nfkc, nfkd };

/// The general category of a character, such as `UTF8PROC_CATEGORY_LU`; that of an unassigned code point is CN.
utf8proc_category_t general_category(char32_t c) noexcept;

/// A UTF-8 text in a normalisation form. Throws `argument_error` for text that is not UTF-8.
std::string normalize_unicode(std::string_view text, unicode_form form);

/// Each character in lower case, whatever its neighbours are (so no final sigma).
std::string to_lower_case(std::string_view text);

/// The common form of texts that differ only in case and white space: lower case in every script, white space runs as
/// one space, none at the ends.
std::string normalize_for_comparison(std::string_view text);

/// A number of any kind: categories Nd, Nl, No.
bool is_numeric(char32_t c) noexcept;
/// ASCII's punctuation and symbols, and category P.
bool is_punctuation(char32_t c) noexcept;
/// What regular expressions call a word character (Unicode Technical Standard 18): alphabetic, mark, decimal digit,
/// connector, joiner.
bool is_word_character(char32_t c) noexcept;

}  // namespace coho::trainer
