#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace coho::trainer::jinja {

/// Python's `int(text, base)`: white space, a sign, a prefix such as 0x, and underscores between digits. None if it is
/// malformed; throws `failure` beyond 64 bits.
std::optional<std::int64_t> read_integer(std::string_view text, int base);

/// Python's `float(text)`, or none.
std::optional<double> read_real(std::string_view text);

}  // namespace coho::trainer::jinja
