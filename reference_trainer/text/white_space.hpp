#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace coho::trainer {

/// Unicode's property White_Space.
bool is_white_space(char32_t code_point) noexcept;
/// A character that ends a line: LF, VT, FF, CR, NEL, LS, PS.
bool is_line_end(char32_t code_point) noexcept;

/// Strips white space of any script at both ends. Invalid UTF-8 is not white space.
std::string_view trim_white_space(std::string_view text) noexcept;
/// The same at the beginning only.
std::string_view trim_leading_white_space(std::string_view text) noexcept;
/// The same at the end only.
std::string_view trim_trailing_white_space(std::string_view text) noexcept;

/// Strips the given characters (bytes) at both ends.
std::string_view trim_characters(std::string_view text, std::string_view characters = " \t\r\n") noexcept;

/// How many words white space separates: runs of bytes that are not " \t\r\n".
std::size_t count_words(std::string_view text) noexcept;

/// Each "\r\n" becomes "\n"; a single "\r" stays.
std::string unify_line_breaks(std::string_view text);

}  // namespace coho::trainer
