#pragma once

#include <cstddef>
#include <string_view>

namespace coho::inline v0_1::detail {

/// The bytes of the white space character that a UTF-8 text starts with, 0 if it starts with another: Unicode's white
/// space, which chat templates (Python's strip) drop.
constexpr std::size_t leading_white_space(std::string_view text) noexcept {
  constexpr std::string_view wide[] = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\xA8",
                                       "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
  if (text.empty()) return 0;
  const char c = text.front();
  if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1C' && c <= '\x1F')) return 1;
  for (const auto space : wide)
    if (text.starts_with(space)) return space.size();
  const bool typographic = text.size() > 2 && text.starts_with("\xE2\x80");  // U+2000 to U+200A
  return typographic && static_cast<unsigned char>(text[2]) <= 0x8A ? 3 : 0;
}

}  // namespace coho::inline v0_1::detail
