#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace coho::trainer::jinja {

/// Whether a byte is one of 0 to 9.
constexpr bool is_decimal_digit(char c) { return c >= '0' && c <= '9'; }

/// Python's `int(text, base)`: white space, a sign, a prefix such as 0x, and underscores between digits. None if either
/// is malformed; throws `failure` beyond 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text, int base);

/// Python's `float(text)`, or none.
std::optional<double> parse_real(std::string_view text);

}  // namespace coho::trainer::jinja
