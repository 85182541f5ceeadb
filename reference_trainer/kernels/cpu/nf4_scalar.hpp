#pragma once

#include <bit>
#include <cstdint>

#include "kernels/cpu/nf4_kernels.hpp"

/// NF4 one element at a time: what the kernels of all instruction sets do with the elements that do not fill a vector.
namespace coho::trainer::cpu {

/// The bounds as a search tree in level order: from node k to 2k, or to 2k + 1 if above the node's bound.
alignas(64) inline constexpr float nf4_tree[16] = {0,
                                                   nf4_bounds[7],
                                                   nf4_bounds[3],
                                                   nf4_bounds[11],
                                                   nf4_bounds[1],
                                                   nf4_bounds[5],
                                                   nf4_bounds[9],
                                                   nf4_bounds[13],
                                                   nf4_bounds[0],
                                                   nf4_bounds[2],
                                                   nf4_bounds[4],
                                                   nf4_bounds[6],
                                                   nf4_bounds[8],
                                                   nf4_bounds[10],
                                                   nf4_bounds[12],
                                                   nf4_bounds[14]};

/// The code of element i: even elements are in the high four bits.
inline unsigned nf4_code_at(const std::uint8_t* codes, std::int64_t i) {
  return i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15U;
}

/// The code of x·(1/absmax), by four steps down `nf4_tree`.
inline unsigned nf4_encode(float scaled) {
  unsigned node = 1;
  for (int level = 0; level < 4; ++level) node = 2 * node + (scaled > nf4_tree[node] ? 1U : 0U);
  return node - 16;
}

/// The bits of the value rounded to bf16, to nearest and ties to even; for finite values.
inline std::uint16_t nf4_bf16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// Encodes elements [begin, count) of a block, two per byte; begin is even. x: fp32, or the bits of bf16; an odd last
/// element is paired with 7, the code of 0.
template <class Element>
void nf4_encode_tail(const Element* x, std::int64_t begin, std::int64_t count, float inverse, std::uint8_t* codes) {
  const auto index = [&](std::int64_t i) {
    if (i >= count) return 7U;
    if constexpr (sizeof(Element) == 4) return nf4_encode(x[i] * inverse);
    return nf4_encode(std::bit_cast<float>(static_cast<std::uint32_t>(x[i]) << 16) * inverse);
  };
  for (std::int64_t i = begin; i < count; i += 2)
    codes[i / 2] = static_cast<std::uint8_t>(index(i) << 4 | index(i + 1));
}

/// Decodes elements [begin, count) of a block to fp32, or to the bits of bf16.
template <class Output>
void nf4_decode_tail(const std::uint8_t* codes, float absmax, std::int64_t begin, std::int64_t count, Output* out) {
  for (std::int64_t i = begin; i < count; ++i) {
    const float value = nf4_values[nf4_code_at(codes, i)] * absmax;
    if constexpr (sizeof(Output) == 4) {
      out[i] = value;
    } else {
      out[i] = nf4_bf16_bits(value);
    }
  }
}

}  // namespace coho::trainer::cpu
