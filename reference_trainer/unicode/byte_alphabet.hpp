#pragma once

#include <string>
#include <string_view>

namespace coho::trainer {

/// The byte-level alphabet of GPT-2's vocabulary: each byte is one printable character. 33–126, 161–172 and 174–255 are
/// the characters of that number, the other bytes in order the characters from U+0100.
///
///     to_byte_alphabet(" é");  // "ĠÃ©"
std::string to_byte_alphabet(std::string_view bytes);
/// The same, appended to `out`: for words in a loop.
void append_byte_alphabet(std::string& out, std::string_view bytes);

/// The bytes of a text of that alphabet; a text with any other character is returned as it is.
std::string from_byte_alphabet(std::string_view text);

}  // namespace coho::trainer
