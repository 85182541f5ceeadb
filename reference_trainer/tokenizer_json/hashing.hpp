#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace coho::trainer {

/// Spreads the bits of a number: the halves of a 128-bit product, combined.
inline std::uint64_t mix_bits(std::uint64_t value) noexcept {
  __extension__ using wide = unsigned __int128;
  const wide product = static_cast<wide>(value ^ 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// A hash of a text, for tables in memory: it depends on the byte order of the machine.
inline std::uint64_t hash_text(std::string_view text) noexcept {
  std::uint64_t out = text.size();
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t block = 0;
    std::memcpy(&block, text.data(), 8);
    out = mix_bits(out ^ block);
  }
  std::uint64_t rest = 0;
  if (!text.empty()) std::memcpy(&rest, text.data(), text.size());
  return mix_bits(out ^ rest ^ (std::uint64_t{text.size()} << 56));
}

/// Slots of a table with open addressing that is at most half full: a power of two.
inline std::size_t hash_table_slots(std::size_t entries) noexcept { return std::bit_ceil(2 * entries + 2); }

}  // namespace coho::trainer
