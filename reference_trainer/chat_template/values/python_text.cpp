#include "chat_template/values/python_text.hpp"

#include <algorithm>
#include <cstring>

#include "text/utf8.hpp"
#include "text/white_space.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer::jinja {

namespace {

struct character {
  char32_t code = 0;
  std::size_t size = 0;
};

// Of UTF-8 that is not empty.
character first_character(std::string_view text) {
  const auto code = utf8_code_point(text);
  return {code, code < 0x80 ? 1u : code < 0x800 ? 2u : code < 0x10000 ? 3u : 4u};
}

// Whether the byte is one of UTF-8 after the first of a character.
bool is_continuation_byte(char c) { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

// Of UTF-8 that is not empty.
character last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && is_continuation_byte(text[at])) --at;
  return {utf8_code_point(text.substr(at)), text.size() - at};
}

// Where `str.splitlines` splits.
bool is_line_end(char32_t c) {
  return (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

bool is_space(char32_t c) noexcept { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

std::u32string code_points(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto c = first_character(text);
    out += c.code;
    text.remove_prefix(c.size);
  }
  return out;
}

std::string_view strip_characters(std::string_view text, side which, std::optional<std::string_view> characters) {
  const auto set = code_points(characters.value_or(""));
  const auto goes = [&](char32_t c) { return characters ? set.find(c) != set.npos : is_space(c); };
  while (which != side::right && !text.empty()) {
    const auto c = first_character(text);
    if (!goes(c.code)) break;
    text.remove_prefix(c.size);
  }
  while (which != side::left && !text.empty()) {
    const auto c = last_character(text);
    if (!goes(c.code)) break;
    text.remove_suffix(c.size);
  }
  return text;
}

std::vector<std::string_view> split_at_white_space(std::string_view text, std::ptrdiff_t most, bool from_right) {
  std::vector<std::string_view> out;
  for (text = strip_characters(text, from_right ? side::right : side::left); !text.empty();
       text = strip_characters(text, from_right ? side::right : side::left)) {
    if (most >= 0 && out.size() == static_cast<std::size_t>(most)) {
      out.push_back(text);
      break;
    }
    std::size_t word = 0;
    while (word < text.size()) {
      const auto c =
          from_right ? last_character(text.substr(0, text.size() - word)) : first_character(text.substr(word));
      if (is_space(c.code)) break;
      word += c.size;
    }
    out.push_back(from_right ? text.substr(text.size() - word) : text.substr(0, word));
    from_right ? text.remove_suffix(word) : text.remove_prefix(word);
  }
  if (from_right) std::ranges::reverse(out);
  return out;
}

std::vector<std::string_view> split_at_separator(std::string_view text, std::string_view separator, std::ptrdiff_t most,
                                                 bool from_right) {
  std::vector<std::string_view> out;
  while (most < 0 || out.size() < static_cast<std::size_t>(most)) {
    const auto at = from_right ? find_last_substring(text, separator) : find_substring(text, separator);
    if (at == text.npos) break;
    out.push_back(from_right ? text.substr(at + separator.size()) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at + separator.size());
  }
  out.push_back(text);
  if (from_right) std::ranges::reverse(out);
  return out;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    std::size_t line = 0, end = 0;
    while (line < text.size()) {
      const auto c = first_character(text.substr(line));
      if (is_line_end(c.code)) {
        end = text.substr(line).starts_with("\r\n") ? 2 : c.size;
        break;
      }
      line += c.size;
    }
    out.push_back(text.substr(0, line + (keep_ends ? end : 0)));
    text.remove_prefix(line + end);
  }
  return out;
}

std::size_t find_substring(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return text.npos;
  if (part.empty()) return from;
  // Not string_view's search, which is quadratic at worst: a template could make a rendering last for hours.
  const void* const found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? text.npos : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::size_t find_last_substring(std::string_view text, std::string_view part) {
  if (part.size() > text.size()) return text.npos;
  // Backwards by the reversed texts, for the same reason; short parts directly.
  if (part.size() <= 16) return text.rfind(part);
  const std::string backwards(text.rbegin(), text.rend()), sought(part.rbegin(), part.rend());
  const auto at = find_substring(backwards, sought);
  return at == text.npos ? at : text.size() - at - part.size();
}

std::size_t count_substring(std::string_view text, std::string_view part) {
  if (part.empty()) return count_utf8_characters(text) + 1;
  std::size_t out = 0;
  for (auto at = find_substring(text, part); at != text.npos; at = find_substring(text, part, at + part.size())) ++out;
  return out;
}

std::string replace_substring(std::string_view text, std::string_view part, std::string_view by, std::ptrdiff_t most) {
  std::string out;
  std::size_t from = 0;
  const auto more = [&] { return most != 0; };
  if (part.empty()) {
    while (more()) {
      out += by;
      if (most > 0) --most;
      if (from == text.size()) return out;
      const auto size = first_character(text.substr(from)).size;
      out += text.substr(from, size);
      from += size;
    }
    return out += text.substr(from);
  }
  while (more()) {
    const auto at = find_substring(text, part, from);
    if (at == text.npos) break;
    out += text.substr(from, at - from);
    out += by;
    from = at + part.size();
    if (most > 0) --most;
  }
  return out += text.substr(from);
}

std::size_t byte_offset_of_character(std::string_view text, std::size_t character) {
  std::size_t at = 0;
  for (; at < text.size() && character > 0; --character) at += first_character(text.substr(at)).size;
  return at;
}

std::string slice_text(std::string_view text, std::ptrdiff_t start, std::ptrdiff_t stop, std::ptrdiff_t step,
                       std::size_t length) {
  if (step > 0 ? start >= stop : start <= stop) return {};
  if (length == text.size()) {
    if (step == 1)
      return std::string(text.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(stop - start)));
    std::string out;
    for (; step > 0 ? start < stop : start > stop; start += step) out += text[static_cast<std::size_t>(start)];
    return out;
  }
  auto at = byte_offset_of_character(text, static_cast<std::size_t>(start));
  if (step == 1) {
    const auto rest = text.substr(at);
    return std::string(rest.substr(0, byte_offset_of_character(rest, static_cast<std::size_t>(stop - start))));
  }
  std::string out;
  while (true) {
    out += text.substr(at, first_character(text.substr(at)).size);
    start += step;
    if (step > 0 ? start >= stop : start <= stop) return out;
    for (auto k = step; k > 0; --k) at += first_character(text.substr(at)).size;
    for (auto k = step; k < 0; ++k) at -= last_character(text.substr(0, at)).size;
  }
}

}  // namespace coho::trainer::jinja
