#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// Length in bytes of the well-formed UTF-8 character at the start of `text`, or 0 if there is none (overlong forms,
/// surrogates and numbers above U+10FFFF are not characters).
std::size_t utf8_length(std::string_view text) noexcept;

/// Whether a text consists of well-formed characters; an empty one does.
bool is_utf8(std::string_view text) noexcept;
/// The offset of the first byte that is not part of a well-formed character, or npos.
std::size_t find_invalid_utf8(std::string_view text) noexcept;

/// The number of characters (code points) of a UTF-8 text; of any other, of bytes that are not continuation bytes.
std::size_t count_utf8_characters(std::string_view text) noexcept;

/// The characters of a text, in order; a byte that is not part of one stands for itself.
std::vector<std::string_view> split_utf8(std::string_view text);

/// The code point of the well-formed character at the start of `text`, whose `utf8_length` is not 0.
char32_t utf8_code_point(std::string_view text) noexcept;
/// Appends a character of at most U+10FFFF that is not a surrogate.
void append_utf8(std::string& text, char32_t code_point);
/// Where the character that ends at `end` (not 0) begins: the last byte before it that is not a continuation byte, or
/// 0.
std::size_t utf8_previous(std::string_view text, std::size_t end) noexcept;

/// Each byte that is not part of a character becomes U+FFFD.
std::string repair_utf8(std::string_view text);
/// The same with one U+FFFD for each longest beginning of a character, as Unicode recommends (chapter 3.9, substitution
/// of maximal subparts) and the `tokenizers` library does.
std::string repair_utf8_by_subparts(std::string_view bytes);

/// JSON text in which each escape of an unpaired surrogate ("\uD83D") is replaced by "\uFFFD", so that it can be read.
std::string repair_surrogate_escapes(std::string_view json);

}  // namespace coho::trainer
