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
/// `str.strip`, `lstrip` and `rstrip`: without the characters at the ends that are in `characters`, or without white
/// space.
std::string_view strip_characters(std::string_view text, side which, std::optional<std::string_view> characters = {});

/// `str.upper`, with capitals of several characters.
std::string upper_case(std::string_view text);
/// `str.lower`, with the final sigma.
std::string lower_case(std::string_view text);
/// `str.title`: the first letter of each run of letters is in title case.
std::string title_case(std::string_view text);
/// `str.capitalize`: the first character in title case, the others in lower case.
std::string capitalize_text(std::string_view text);
/// `str.swapcase`.
std::string swap_case(std::string_view text);

/// `str.isupper` and `str.islower`: at least one cased character, and all of this case.
bool is_upper_case(std::string_view text);
bool is_lower_case(std::string_view text);
/// `str.istitle`: capitals at the start of words only, and at least one.
bool is_title_case(std::string_view text);
/// `str.isalpha` and so on by the name without "is": alpha, digit, decimal, alnum, space, printable, ascii. Throws
/// `failure` for others.
bool all_characters_are(std::string_view text, std::string_view property);

/// `str.split` and `rsplit` at runs of white space; at most `most` splits, any number if negative. The parts are views
/// of `text`, here and below.
std::vector<std::string_view> split_at_white_space(std::string_view text, std::ptrdiff_t most, bool from_right);
/// The same at a separator, which is not empty.
std::vector<std::string_view> split_at_separator(std::string_view text, std::string_view separator, std::ptrdiff_t most,
                                                 bool from_right);
/// `str.splitlines`, at all of Unicode's line ends.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

/// The byte at which `part` first begins, at `from` or after it; `npos` if it does not. In linear time.
std::size_t find_substring(std::string_view text, std::string_view part, std::size_t from = 0);
/// The byte at which `part` last begins, or `npos`.
std::size_t find_last_substring(std::string_view text, std::string_view part);
/// How often a part occurs, without overlap; of an empty part, one more than there are characters.
std::size_t count_substring(std::string_view text, std::string_view part);
/// `str.replace`: at most `most` occurrences, all if negative. An empty part is between all characters.
std::string replace_substring(std::string_view text, std::string_view part, std::string_view by, std::ptrdiff_t most);

/// The byte at which the character of that number begins; the size if there are fewer.
std::size_t byte_offset_of_character(std::string_view text, std::size_t character);
/// `length`: of the text in characters. The characters `start`, `start + step`, … before `stop`, all in range, as
/// Python's slices give them.
std::string slice_text(std::string_view text, std::ptrdiff_t start, std::ptrdiff_t stop, std::ptrdiff_t step,
                       std::size_t length);

}  // namespace coho::trainer::jinja
