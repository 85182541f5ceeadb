#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace coho::trainer {

/// The remainder of each byte, bits reversed: 0x82F63B78 is the polynomial 0x1EDC6F41 reversed.
constexpr std::array<std::uint32_t, 256> make_crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0x82F63B78u : 0u);
    table[i] = c;
  }
  return table;
}
inline constexpr auto crc32c_table = make_crc32c_table();

/// CRC-32C (Castagnoli) of bytes; crc32c("123456789") = E3069283.
inline std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t c = ~0u;
  for (const char b : bytes) c = crc32c_table[(c ^ static_cast<unsigned char>(b)) & 0xFF] ^ (c >> 8);
  return ~c;
}

/// The masked form in TensorFlow's record files: rotate right by 15 bits, add A282EAD8.
inline std::uint32_t masked_crc32c(std::string_view bytes) noexcept {
  const auto c = crc32c(bytes);
  return ((c >> 15) | (c << 17)) + 0xA282EAD8u;
}

}  // namespace coho::trainer
