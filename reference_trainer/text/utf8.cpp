#include "text/utf8.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <system_error>

namespace coho::trainer {
namespace {

constexpr std::string_view replacement_text = "\xEF\xBF\xBD";  // U+FFFD

// How many bytes at the beginning of a text one U+FFFD replaces: the longest beginning of a character, or one byte.
std::size_t subpart_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0xC2 || lead > 0xF4) return 1;
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high || lead < 0xE0) return 1;
  return lead >= 0xF0 && byte(2) >= 0x80 && byte(2) <= 0xBF ? 3 : 2;
}

}  // namespace

std::size_t utf8_length(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(text[i])); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  std::uint32_t code = lead & (0x7Fu >> length);
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(k) & 0xC0) != 0x80) return 0;
    code = (code << 6) | (byte(k) & 0x3F);
  }
  constexpr std::uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < smallest[length] || code > 0x10FFFF || surrogate ? 0 : length;
}

std::size_t count_utf8_characters(std::string_view text) noexcept {
  std::size_t out = 0;
  for (const char c : text) out += (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;
  return out;
}

std::size_t find_invalid_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto length = static_cast<unsigned char>(text[i]) < 0x80 ? 1 : utf8_length(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

bool is_utf8(std::string_view text) noexcept { return find_invalid_utf8(text) == std::string_view::npos; }

std::size_t utf8_previous(std::string_view text, std::size_t end) noexcept {
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u);
  return end;
}

std::vector<std::string_view> split_utf8(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(text));
    out.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

std::string repair_utf8(std::string_view text) {
  std::string repaired;
  repaired.reserve(text.size());
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length == 0) {
      repaired += replacement_text;
      text.remove_prefix(1);
    } else {
      repaired += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return repaired;
}

std::string repair_utf8_by_subparts(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  std::string out;
  while (!bytes.empty()) {
    const auto length = utf8_length(bytes);
    out.append(length > 0 ? bytes.substr(0, length) : replacement_text);
    bytes.remove_prefix(length > 0 ? length : subpart_length(bytes));
  }
  return out;
}

char32_t utf8_code_point(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return lead;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  std::uint32_t code = lead & (0x7Fu >> length);
  for (std::size_t k = 1; k < length; ++k) code = (code << 6) | (static_cast<unsigned char>(text[k]) & 0x3Fu);
  return code;
}

void append_utf8(std::string& text, char32_t code_point) {
  const std::uint32_t code = code_point;
  const auto tail = [&](unsigned shift) { text += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | (code >> 12));
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | (code >> 18));
    tail(12), tail(6), tail(0);
  }
}

std::string repair_surrogate_escapes(std::string_view json) {
  // The four digits after "\u" at a position, or 0 if there is no such escape.
  const auto escape_at = [&](std::size_t at) -> unsigned {
    unsigned code = 0;
    if (json.substr(at, 2) != "\\u" || json.size() < at + 6) return 0;
    const auto [end, problem] = std::from_chars(json.data() + at + 2, json.data() + at + 6, code, 16);
    return problem == std::errc() && end == json.data() + at + 6 ? code : 0;
  };
  std::string out;
  out.reserve(json.size());
  for (std::size_t at = 0; at < json.size();) {
    std::size_t length = json[at] == '\\' ? 2 : 1;
    const unsigned code = escape_at(at), next = code == 0 ? 0 : escape_at(at + 6);
    const bool high = code >= 0xD800 && code < 0xDC00, low = code >= 0xDC00 && code < 0xE000;
    if (high && next >= 0xDC00 && next < 0xE000) {
      length = 12;
    } else if (high || low) {
      out += "\\uFFFD";
      at += 6;
      continue;
    }
    out += json.substr(at, length);
    at += length;
  }
  return out;
}

}  // namespace coho::trainer
