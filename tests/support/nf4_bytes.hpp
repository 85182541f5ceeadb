#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace coho::test {

/// NF4 bytes that no quantiser made: random codes and scales, with what they stand for computed one element at a time.
struct nf4_bytes {
  std::int64_t n, block_size, nested_block_size = 256;
  bool nested;
  std::vector<std::uint8_t> codes, absmax_indices;
  std::vector<float> absmax, nested_map, nested_absmax;
  float nested_offset = 0;

  nf4_bytes(std::int64_t elements, std::int64_t block, bool is_nested, unsigned seed)
      : n(elements), block_size(block), nested(is_nested), codes(static_cast<std::size_t>((elements + 1) / 2)) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> scales(0.01f, 0.2f), signs(-1.0f, 1.0f);
    for (auto& byte : codes) byte = static_cast<std::uint8_t>(random() & 255u);
    const auto blocks = static_cast<std::size_t>((n + block_size - 1) / block_size);
    if (!nested) {
      absmax.resize(blocks);
      for (auto& scale : absmax) scale = scales(random);
      return;
    }
    nested_offset = 0.3f;
    absmax_indices.resize(blocks);
    for (auto& index : absmax_indices) index = static_cast<std::uint8_t>(random() & 255u);
    nested_map.resize(256);
    for (auto& value : nested_map) value = signs(random);
    nested_absmax.resize((blocks + 255) / 256);
    for (auto& scale : nested_absmax) scale = scales(random);
  }

  float scale(std::int64_t element) const {
    const auto block = static_cast<std::size_t>(element / block_size);
    if (!nested) return absmax[block];
    const volatile float product = nested_map[absmax_indices[block]] * nested_absmax[block / 256];
    return product + nested_offset;
  }

  /// In fp32: the value of the code times the scale, rounded once.
  float value(std::int64_t element) const {
    static const float values[16] = {-1.0f,
                                     -0.6961928009986877f,
                                     -0.5250730514526367f,
                                     -0.39491748809814453f,
                                     -0.28444138169288635f,
                                     -0.18477343022823334f,
                                     -0.09105003625154495f,
                                     0.0f,
                                     0.07958029955625534f,
                                     0.16093020141124725f,
                                     0.24611230194568634f,
                                     0.33791524171829224f,
                                     0.44070982933044434f,
                                     0.5626170039176941f,
                                     0.7229568362236023f,
                                     1.0f};
    const int both = codes[static_cast<std::size_t>(element / 2)];
    return values[element % 2 == 0 ? both / 16 : both % 16] * scale(element);
  }
};

/// The nearest bf16, ties to even, found by comparing distances; for finite numbers.
inline std::uint16_t nearest_bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const auto number = [](std::uint32_t upper_half) {
    const std::uint32_t whole = upper_half << 16;
    float y;
    std::memcpy(&y, &whole, sizeof y);
    return static_cast<double>(y);
  };
  const std::uint32_t nearer_zero = bits >> 16, farther = nearer_zero + 1;
  const double down = std::abs(x - number(nearer_zero)), up = std::abs(number(farther) - x);
  if (down == up) return static_cast<std::uint16_t>(nearer_zero % 2 == 0 ? nearer_zero : farther);
  return static_cast<std::uint16_t>(down < up ? nearer_zero : farther);
}

inline float from_bf16(std::uint16_t bits) {
  const std::uint32_t whole = static_cast<std::uint32_t>(bits) << 16;
  float x;
  std::memcpy(&x, &whole, sizeof x);
  return x;
}

}  // namespace coho::test
