#pragma once

#include <bit>
#include <cstdint>

#include "kernels/cpu/nf4_kernels.hpp"

// The wide NF4 kernels are compiled for their instruction sets in nf4_x86.cpp, whatever the rest is compiled for.
#if defined(__x86_64__) && defined(__GNUC__)
#define COHO_NF4_X86
#endif

namespace coho::trainer::cpu {

#ifdef COHO_NF4_X86
extern const nf4_kernels nf4_avx2_kernels;    // needs AVX2 and FMA
extern const nf4_kernels nf4_avx512_kernels;  // also needs AVX-512F
#endif

// The bounds as a search tree in level order: from node k to 2k, or to 2k + 1 if above the node's bound.
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

// Shared by all instruction sets: the elements that do not fill a vector.

inline unsigned nf4_code_at(const std::uint8_t* codes, std::int64_t i) {
  return i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15U;
}

inline unsigned nf4_index_of(float scaled) {
  unsigned node = 1;
  for (int level = 0; level < 4; ++level) node = 2 * node + (scaled > nf4_tree[node] ? 1U : 0U);
  return node - 16;
}

inline std::uint16_t nf4_bf16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// Elements [begin, count) of a block; begin is even.
template <class Element>
void nf4_encode_rest(const Element* x, std::int64_t begin, std::int64_t count, float inverse, std::uint8_t* codes) {
  const auto index = [&](std::int64_t i) {
    if (i >= count) return 7U;
    if constexpr (sizeof(Element) == 4) return nf4_index_of(x[i] * inverse);
    return nf4_index_of(std::bit_cast<float>(static_cast<std::uint32_t>(x[i]) << 16) * inverse);
  };
  for (std::int64_t i = begin; i < count; i += 2)
    codes[i / 2] = static_cast<std::uint8_t>(index(i) << 4 | index(i + 1));
}

template <class Output>
void nf4_decode_rest(const std::uint8_t* codes, float absmax, std::int64_t begin, std::int64_t count, Output* out) {
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
