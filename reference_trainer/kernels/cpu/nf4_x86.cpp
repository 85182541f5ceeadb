#include "kernels/cpu/nf4_x86.hpp"

#include "kernels/cpu/nf4_scalar.hpp"

#ifdef COHO_NF4_X86

// GCC 12's own headers initialise undefined registers with themselves (GCC bug 105593).
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <algorithm>
#include <cstring>
#include <immintrin.h>

#define COHO_AVX2 __attribute__((target("avx2,fma")))
#define COHO_AVX512 __attribute__((target("avx512f,avx2,fma")))
#define COHO_INLINE inline __attribute__((always_inline))

namespace coho::trainer::cpu {
namespace {

// ---- AVX2 ----

// 8 elements as fp32; bf16 ones are given as bits.
COHO_AVX2 COHO_INLINE __m256 load8(const float* x) { return _mm256_loadu_ps(x); }
COHO_AVX2 COHO_INLINE __m256 load8(const std::uint16_t* x) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

// The absmax of a block. Magnitudes are compared as integers, which puts NaN above all numbers.
template <class Element>
COHO_AVX2 COHO_INLINE float largest_magnitude(const Element* x, std::int64_t count) {
  const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
  __m256i largest = _mm256_setzero_si256();
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    largest = _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(load8(x + i)), magnitude));
  alignas(32) std::int32_t lanes[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), largest);
  std::int32_t most = *std::max_element(lanes, lanes + 8);
  for (; i < count; ++i) {
    std::uint32_t bits;
    if constexpr (sizeof(Element) == 4) {
      bits = std::bit_cast<std::uint32_t>(x[i]);
    } else {
      bits = static_cast<std::uint32_t>(x[i]) << 16;
    }
    most = std::max(most, static_cast<std::int32_t>(bits & 0x7FFFFFFFU));
  }
  return std::bit_cast<float>(most);
}

// The lower three levels of nf4_tree, a register each.
struct search8 {
  __m256 second, third, fourth;
};

// −1 in the lanes where `scaled` is above the bound.
COHO_AVX2 COHO_INLINE __m256i above(__m256 scaled, __m256 bound) {
  return _mm256_castps_si256(_mm256_cmp_ps(scaled, bound, _CMP_GT_OQ));
}
// The codes of 8 elements, by `nf4_encode` in all lanes.
COHO_AVX2 COHO_INLINE __m256i encode8(__m256 scaled, const search8& bounds) {
  // Comparisons give −1 for true, so subtracting counts.
  __m256i index = _mm256_sub_epi32(_mm256_setzero_si256(), above(scaled, _mm256_set1_ps(nf4_bounds[7])));
  __m256i more = above(scaled, _mm256_permutevar8x32_ps(bounds.second, index));
  index = _mm256_sub_epi32(_mm256_add_epi32(index, index), more);
  more = above(scaled, _mm256_permutevar8x32_ps(bounds.third, index));
  index = _mm256_sub_epi32(_mm256_add_epi32(index, index), more);
  more = above(scaled, _mm256_permutevar8x32_ps(bounds.fourth, index));
  return _mm256_sub_epi32(_mm256_add_epi32(index, index), more);
}

// 32 elements per iteration, whose codes fill one 16-byte store.
template <class Element>
COHO_AVX2 void quantize_avx2(const Element* x, std::int64_t n, std::int64_t block_size, std::uint8_t* codes,
                             float* absmax) {
  const search8 bounds{_mm256_castps128_ps256(_mm_loadu_ps(nf4_tree + 2)),
                       _mm256_castps128_ps256(_mm_loadu_ps(nf4_tree + 4)), _mm256_loadu_ps(nf4_tree + 8)};
  for (std::int64_t begin = 0; begin < n; begin += block_size, x += block_size, codes += block_size / 2) {
    const std::int64_t count = std::min(block_size, n - begin);
    const float scale = largest_magnitude(x, count);
    *absmax++ = scale;
    const float inverse = 1.0F / std::max(scale, nf4_least_divisor);
    const __m256 inverses = _mm256_set1_ps(inverse);
    std::int64_t i = 0;
    for (; i + 32 <= count; i += 32) {
      const __m256i a = encode8(_mm256_mul_ps(load8(x + i), inverses), bounds);
      const __m256i b = encode8(_mm256_mul_ps(load8(x + i + 8), inverses), bounds);
      const __m256i c = encode8(_mm256_mul_ps(load8(x + i + 16), inverses), bounds);
      const __m256i d = encode8(_mm256_mul_ps(load8(x + i + 24), inverses), bounds);
      // Each 128-bit half ends with every second pair of bytes of the result.
      const __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
      const __m256i words = _mm256_maddubs_epi16(bytes, _mm256_set1_epi16(0x0110));
      const __m256i pairs = _mm256_packus_epi16(words, words);
      const __m128i ordered = _mm_unpacklo_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i / 2), ordered);
    }
    nf4_encode_tail(x, i, count, inverse, codes);
  }
}

// The codes of 8 elements from 4 bytes; only the low four bits of each lane count.
COHO_AVX2 COHO_INLINE __m256i unpack8(const std::uint8_t* codes) {
  std::int32_t word;
  std::memcpy(&word, codes, 4);
  return _mm256_srlv_epi32(_mm256_set1_epi32(word), _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24));
}
// Entries of a table of 16 in two registers: bit 3 of an index, moved to the sign, chooses between the halves.
COHO_AVX2 COHO_INLINE __m256 lookup8(__m256 low, __m256 high, __m256i index) {
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index), _mm256_permutevar8x32_ps(high, index),
                          _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}

// The 16 products of a block are computed once and looked up.
COHO_AVX2 void dequantize_avx2(const std::uint8_t* codes, const float* absmax, std::int64_t n, std::int64_t block_size,
                               float* out) {
  const __m256 low = _mm256_loadu_ps(nf4_values.data()), high = _mm256_loadu_ps(nf4_values.data() + 8);
  for (std::int64_t begin = 0; begin < n; begin += block_size, codes += block_size / 2, out += block_size) {
    const std::int64_t count = std::min(block_size, n - begin);
    const float scale = *absmax++;
    const __m256 low_products = _mm256_mul_ps(low, _mm256_set1_ps(scale));
    const __m256 high_products = _mm256_mul_ps(high, _mm256_set1_ps(scale));
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8)
      _mm256_storeu_ps(out + i, lookup8(low_products, high_products, unpack8(codes + i / 2)));
    nf4_decode_tail(codes, scale, i, count, out);
  }
}

// `nf4_bf16_bits` in 8 lanes.
COHO_AVX2 COHO_INLINE __m256i bf16_words(__m256 values) {
  const __m256i bits = _mm256_castps_si256(values);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd), 16);
}

// The 16 products of a block as two tables of bytes, in which shuffles look up 32 indices at once.
COHO_AVX2 void dequantize_bf16_avx2(const std::uint8_t* codes, const float* absmax, std::int64_t n,
                                    std::int64_t block_size, std::uint16_t* out) {
  const __m256 low = _mm256_loadu_ps(nf4_values.data()), high = _mm256_loadu_ps(nf4_values.data() + 8);
  for (std::int64_t begin = 0; begin < n; begin += block_size, codes += block_size / 2, out += block_size) {
    const std::int64_t count = std::min(block_size, n - begin);
    const float scale = *absmax++;
    const __m256i first = bf16_words(_mm256_mul_ps(low, _mm256_set1_ps(scale)));
    const __m256i second = bf16_words(_mm256_mul_ps(high, _mm256_set1_ps(scale)));
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), 0xD8);
    const __m256i bytes =
        _mm256_packus_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0xFF)), _mm256_srli_epi16(words, 8));
    const __m256i low_bytes = _mm256_permute4x64_epi64(bytes, 0x88), high_bytes = _mm256_permute4x64_epi64(bytes, 0xDD);
    std::int64_t i = 0;
    for (; i + 32 <= count; i += 32) {
      const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i / 2));
      const __m128i even = _mm_and_si128(_mm_srli_epi16(packed, 4), _mm_set1_epi8(15));
      const __m128i odd = _mm_and_si128(packed, _mm_set1_epi8(15));
      const __m256i index = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(even, odd)),
                                                    _mm_unpackhi_epi8(even, odd), 1);
      const __m256i below = _mm256_shuffle_epi8(low_bytes, index), upper = _mm256_shuffle_epi8(high_bytes, index);
      const __m256i left = _mm256_unpacklo_epi8(below, upper), right = _mm256_unpackhi_epi8(below, upper);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_permute2x128_si256(left, right, 0x20));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i + 16), _mm256_permute2x128_si256(left, right, 0x31));
    }
    nf4_decode_tail(codes, scale, i, count, out);
  }
}

// The sum of 8 lanes, halves first.
COHO_AVX2 COHO_INLINE float sum8(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// ---- AVX-512 ----

// 16 elements as fp32; bf16 ones are given as bits.
COHO_AVX512 COHO_INLINE __m512 load16(const float* x) { return _mm512_loadu_ps(x); }
COHO_AVX512 COHO_INLINE __m512 load16(const std::uint16_t* x) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

// The codes of 16 elements, a byte each: one register holds the whole tree.
COHO_AVX512 COHO_INLINE __m128i encode16(__m512 scaled, __m512 bounds) {
  __m512i node = _mm512_set1_epi32(1);
  for (int level = 0; level < 4; ++level) {
    const __mmask16 above = _mm512_cmp_ps_mask(scaled, _mm512_permutexvar_ps(node, bounds), _CMP_GT_OQ);
    node = _mm512_add_epi32(node, node);
    node = _mm512_mask_add_epi32(node, above, node, _mm512_set1_epi32(1));
  }
  return _mm512_cvtepi32_epi8(_mm512_and_si512(node, _mm512_set1_epi32(15)));
}

// 32 elements per iteration, whose codes fill one 16-byte store.
template <class Element>
COHO_AVX512 void quantize_avx512(const Element* x, std::int64_t n, std::int64_t block_size, std::uint8_t* codes,
                                 float* absmax) {
  const __m512 bounds = _mm512_loadu_ps(nf4_tree);
  const __m128i places = _mm_set1_epi16(0x0110);
  for (std::int64_t begin = 0; begin < n; begin += block_size, x += block_size, codes += block_size / 2) {
    const std::int64_t count = std::min(block_size, n - begin);
    const float scale = largest_magnitude(x, count);
    *absmax++ = scale;
    const float inverse = 1.0F / std::max(scale, nf4_least_divisor);
    const __m512 inverses = _mm512_set1_ps(inverse);
    std::int64_t i = 0;
    for (; i + 32 <= count; i += 32) {
      const __m128i a = encode16(_mm512_mul_ps(load16(x + i), inverses), bounds);
      const __m128i b = encode16(_mm512_mul_ps(load16(x + i + 16), inverses), bounds);
      const __m128i packed = _mm_packus_epi16(_mm_maddubs_epi16(a, places), _mm_maddubs_epi16(b, places));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i / 2), packed);
    }
    nf4_encode_tail(x, i, count, inverse, codes);
  }
}

// The codes of 16 elements from 8 bytes; only the low four bits of each lane count.
COHO_AVX512 COHO_INLINE __m512i unpack16(const std::uint8_t* codes) {
  const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes));
  return _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(_mm_srli_epi16(packed, 4), packed));
}

// The 16 products of a block fit one register, in which each code is looked up.
COHO_AVX512 void dequantize_avx512(const std::uint8_t* codes, const float* absmax, std::int64_t n,
                                   std::int64_t block_size, float* out) {
  const __m512 values = _mm512_loadu_ps(nf4_values.data());
  for (std::int64_t begin = 0; begin < n; begin += block_size, codes += block_size / 2, out += block_size) {
    const std::int64_t count = std::min(block_size, n - begin);
    const float scale = *absmax++;
    const __m512 products = _mm512_mul_ps(values, _mm512_set1_ps(scale));
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16)
      _mm512_storeu_ps(out + i, _mm512_permutexvar_ps(unpack16(codes + i / 2), products));
    nf4_decode_tail(codes, scale, i, count, out);
  }
}

// ---- products with a few rows ----

// The loop over the blocks that a row of the weight touches, the same for both widths: a block may begin before the
// row, and the row in the middle of a byte. `Step(codes, scale, x, sums)` takes `width` elements.
#define COHO_NF4_MATVEC(NAME, TARGET, VECTOR, ZERO, WIDTH, STEP, SUM)                                              \
  template <int Rows, int Chains>                                                                                  \
  TARGET void NAME##_rows(const nf4_product& product) {                                                            \
    const float* const x = product.x;                                                                              \
    const std::int64_t in = product.in, block_size = product.block_size, last = product.last;                      \
    const std::uint8_t* const codes = product.codes;                                                               \
    const float* const absmax = product.absmax;                                                                    \
    const auto tables = NAME##_tables();                                                                           \
    for (std::int64_t o = product.first; o < last; ++o) {                                                          \
      VECTOR sums[Rows][Chains];                                                                                   \
      float rest[Rows] = {};                                                                                       \
      for (int r = 0; r < Rows; ++r)                                                                               \
        for (int c = 0; c < Chains; ++c) sums[r][c] = ZERO();                                                      \
      const std::int64_t row = o * in, end = row + in;                                                             \
      const auto single = [&](std::int64_t at, float scale) {                                                      \
        const float weight = nf4_values[nf4_code_at(codes, at)] * scale;                                           \
        for (int r = 0; r < Rows; ++r) rest[r] += weight * x[r * in + at - row];                                   \
      };                                                                                                           \
      std::int64_t at = row, block = row / block_size;                                                             \
      for (; at < end; ++block) {                                                                                  \
        const std::int64_t stop = std::min(end, (block + 1) * block_size);                                         \
        const float scale = absmax[block];                                                                         \
        if (at % 2 != 0) single(at++, scale);                                                                      \
        for (; at + Chains * WIDTH <= stop; at += Chains * WIDTH) {                                                \
          for (int c = 0; c < Chains; ++c) STEP(codes + (at + c * WIDTH) / 2, x + (at + c * WIDTH - row), c);      \
        }                                                                                                          \
        for (; at + WIDTH <= stop; at += WIDTH) STEP(codes + at / 2, x + (at - row), 0);                           \
        for (; at < stop; ++at) single(at, scale);                                                                 \
      }                                                                                                            \
      for (int r = 0; r < Rows; ++r) {                                                                             \
        float sum = rest[r];                                                                                       \
        for (int c = 0; c < Chains; ++c) sum += SUM(sums[r][c]);                                                   \
        product.y[r * product.y_stride + o] = sum;                                                                 \
      }                                                                                                            \
    }                                                                                                              \
  }                                                                                                                \
  void NAME(const nf4_product& product) {                                                                          \
    using function = void (*)(const nf4_product&);                                                                 \
    static constexpr function by_rows[nf4_matvec_rows] = {NAME##_rows<1, 4>, NAME##_rows<2, 2>, NAME##_rows<3, 2>, \
                                                          NAME##_rows<4, 2>, NAME##_rows<5, 1>, NAME##_rows<6, 1>, \
                                                          NAME##_rows<7, 1>, NAME##_rows<8, 1>};                   \
    by_rows[product.rows - 1](product);                                                                            \
  }

struct tables8 {
  __m256 low, high;
};
COHO_AVX2 COHO_INLINE tables8 matvec_avx2_tables() {
  return {_mm256_loadu_ps(nf4_values.data()), _mm256_loadu_ps(nf4_values.data() + 8)};
}
#define COHO_STEP8(CODES, X, CHAIN)                                                                                \
  {                                                                                                                \
    const __m256 weights = _mm256_mul_ps(lookup8(tables.low, tables.high, unpack8(CODES)), _mm256_set1_ps(scale)); \
    for (int r = 0; r < Rows; ++r)                                                                                 \
      sums[r][CHAIN] = _mm256_fmadd_ps(weights, _mm256_loadu_ps((X) + r * in), sums[r][CHAIN]);                    \
  }
COHO_NF4_MATVEC(matvec_avx2, COHO_AVX2, __m256, _mm256_setzero_ps, 8, COHO_STEP8, sum8)

COHO_AVX512 COHO_INLINE __m512 matvec_avx512_tables() { return _mm512_loadu_ps(nf4_values.data()); }
#define COHO_STEP16(CODES, X, CHAIN)                                                                             \
  {                                                                                                              \
    const __m512 weights = _mm512_mul_ps(_mm512_permutexvar_ps(unpack16(CODES), tables), _mm512_set1_ps(scale)); \
    for (int r = 0; r < Rows; ++r)                                                                               \
      sums[r][CHAIN] = _mm512_fmadd_ps(weights, _mm512_loadu_ps((X) + r * in), sums[r][CHAIN]);                  \
  }
COHO_NF4_MATVEC(matvec_avx512, COHO_AVX512, __m512, _mm512_setzero_ps, 16, COHO_STEP16, _mm512_reduce_add_ps)

}  // namespace

const nf4_kernels nf4_avx2_kernels{"AVX2",          quantize_avx2<float>, quantize_avx2<std::uint16_t>,
                                   dequantize_avx2, dequantize_bf16_avx2, matvec_avx2};
// bf16 uses tables of bytes, for which AVX-512F has nothing wider.
const nf4_kernels nf4_avx512_kernels{"AVX-512",         quantize_avx512<float>, quantize_avx512<std::uint16_t>,
                                     dequantize_avx512, dequantize_bf16_avx2,   matvec_avx512};

}  // namespace coho::trainer::cpu

#endif  // COHO_NF4_X86
