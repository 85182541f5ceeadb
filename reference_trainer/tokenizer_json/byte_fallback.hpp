#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace coho::trainer {

/// The piece that stands for a byte in a vocabulary with byte fallback: byte_piece(10) = "<0x0A>".
inline std::string byte_piece(unsigned char byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return std::string("<0x") + digits[byte >> 4] + digits[byte & 15] + '>';
}

/// The byte that such a piece stands for; digits may be lower case. Nothing for any other piece.
inline std::optional<unsigned char> parse_byte_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  if (error != std::errc() || end != piece.data() + 5) return std::nullopt;
  return static_cast<unsigned char>(value);
}

}  // namespace coho::trainer
