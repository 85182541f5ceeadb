#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace coho::test {

/// Writes the few protobuf fields of which sentencepiece models are made.
inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes + static_cast<char>(value);
}
inline std::string number_field(unsigned field, std::uint64_t value) { return varint(field << 3) + varint(value); }
inline std::string bytes_field(unsigned field, std::string_view bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}
inline std::string piece_field(std::string_view text, float score = 0, unsigned type = 1) {
  std::string number(4, '\0');
  std::memcpy(number.data(), &score, 4);
  return bytes_field(1, bytes_field(1, text) + varint(2 << 3 | 5) + number + number_field(3, type));
}

/// <unk>, <s>, </s>, then the given pieces; BPE without normalisation unless said otherwise.
struct model_parts {
  std::string pieces = piece_field("<unk>", 0, 2) + piece_field("<s>", 0, 3) + piece_field("</s>", 0, 3);
  std::string trainer = number_field(3, 2);
  std::string normalizer = number_field(4, 0);

  std::string bytes() const { return pieces + bytes_field(2, trainer) + bytes_field(3, normalizer); }
};

inline std::string word32(std::uint32_t value) {
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

/// A character map of a double-array trie and its strings.
inline std::string character_map(const std::vector<std::uint32_t>& units, std::string_view strings) {
  std::string bytes = word32(static_cast<std::uint32_t>(units.size() * 4));
  for (const auto unit : units) bytes += word32(unit);
  return bytes + std::string(strings);
}

/// The map that turns "A" into "a": root at 0 with base 1; its child for 'A' at 1 ^ 65 = 64, whose base is 128 and
/// whose value, at 128, is offset 0 of the strings.
inline std::vector<std::uint32_t> units_of_small_map() {
  std::vector<std::uint32_t> units(256, 0);
  units[0] = 1u << 10;
  units[64] = (64u ^ 128u) << 10 | 1u << 8 | 65;
  units[128] = 1u << 31;
  return units;
}

}  // namespace coho::test
