#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What Python's `str` does, on UTF-8 texts.
namespace coho::trainer::jinja {

/// `str.isspace` of one character.
bool is_space(char32_t c) noexcept;
/// Whether `repr` shows the character itself.
bool is_printable(char32_t c) noexcept;

/// The code points of a text.
std::u32string code_points(std::string_view text);

enum class side : unsigned char { left, right, both };
/// Without the characters at the ends that are in `characters`, or without white space.
std::string_view stripped(std::string_view text, side which, std::optional<std::string_view> characters = {});

std::string upper(std::string_view text);
std::string lower(std::string_view text);
/// `str.title`: the first letter of each run of letters is in title case.
std::string title(std::string_view text);
std::string capitalized(std::string_view text);
std::string swapped_case(std::string_view text);

bool is_upper(std::string_view text);
bool is_lower(std::string_view text);
bool is_title(std::string_view text);
/// `str.isalpha` and so on, by name; the name without "is".
bool all_are(std::string_view text, std::string_view property);

/// Parts between white space; at most `most` splits, any number if negative.
std::vector<std::string_view> split_at_space(std::string_view text, std::ptrdiff_t most, bool from_right);
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, std::ptrdiff_t most,
                                       bool from_right);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

/// The byte at which a part begins, `npos` if there is none. In linear time.
std::size_t find_part(std::string_view text, std::string_view part, std::size_t from = 0);
std::size_t find_last_part(std::string_view text, std::string_view part);
/// How often a part occurs, without overlap; of an empty part, one more than there are characters.
std::size_t count_part(std::string_view text, std::string_view part);
/// With at most `most` occurrences replaced, all if negative.
std::string replaced(std::string_view text, std::string_view part, std::string_view by, std::ptrdiff_t most);

/// The byte at which the character of that number begins; the size if there are fewer.
std::size_t byte_of_character(std::string_view text, std::size_t character);
/// The characters `start`, `start + step`, … before `stop`, all in range, as Python's slices give them.
std::string sliced(std::string_view text, std::ptrdiff_t start, std::ptrdiff_t stop, std::ptrdiff_t step,
                   std::size_t length);

}  // namespace coho::trainer::jinja
