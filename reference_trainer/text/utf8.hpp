#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// Length in bytes of the well-formed UTF-8 character at the start of `text`, or 0 if there is none (overlong forms,
/// surrogates and numbers above U+10FFFF are not characters).
std::size_t utf8_length(std::string_view text) noexcept;

bool is_utf8(std::string_view text) noexcept;

/// The number of characters of a UTF-8 text.
std::size_t utf8_characters(std::string_view text) noexcept;

/// The code point of the well-formed character at the start of `text`, whose `utf8_length` is not 0.
char32_t utf8_code_point(std::string_view text) noexcept;
void append_utf8(std::string& text, char32_t code_point);

/// Each byte that is not part of a character becomes U+FFFD.
std::string repair_utf8(std::string_view text);

/// JSON in which each escape "\uD83D" of an unpaired surrogate is replaced by "\uFFFD".
std::string repair_surrogate_escapes(std::string_view json);

}  // namespace coho::trainer
