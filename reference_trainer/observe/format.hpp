#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace coho::trainer {

/// A number with the given digits after the decimal point; "–" if it is not finite.
std::string format_number(double value, int digits = 2);
/// Few digits, enough for a value of its size: 1234, 12.3, 0.012, 3.4e-07.
std::string format_short(double value);
/// "812 B", "1.4 GiB": one decimal from KiB on.
std::string format_bytes(double bytes);

/// "4.5 s" below ten seconds, "45 s", "3 m 05 s", "2 h 07 m"; "?" for a negative time or one that is not finite.
std::string format_duration(double seconds);

/// The terminal columns of a text: code points, wide ones (CJK, emoji) counted twice, combining marks not at all.
std::size_t display_width(std::string_view text);
/// The lines of a text that is broken at its spaces to fit `columns`; a longer word has a line of its own. None for an
/// empty text.
std::vector<std::string> wrap_text(std::string_view text, std::size_t columns);
/// The longest prefix of a text that fits into the given number of columns.
std::string_view first_columns(std::string_view text, std::size_t columns);

}  // namespace coho::trainer
