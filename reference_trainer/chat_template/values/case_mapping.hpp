#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace coho::trainer::jinja {

enum class letter_case : std::uint8_t { none, lower, upper, title };

letter_case case_of(char32_t c) noexcept;
/// Marks and signs that are skipped where a letter's neighbours matter.
bool is_case_ignorable(char32_t c) noexcept;

void append_upper(std::u32string& out, char32_t c);
void append_title(std::u32string& out, char32_t c);
/// The character at a position: sigma depends on its neighbours.
void append_lower(std::u32string& out, std::u32string_view text, std::size_t at);

}  // namespace coho::trainer::jinja
