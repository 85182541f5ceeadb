#pragma once

#include <array>
#include <cstdint>
#include <span>

/// NF4, the 4-bit normal float of QLoRA (Dettmers et al. 2023, §3), in the layout of bitsandbytes. Torch-free and
/// single-threaded: callers divide blocks or rows among threads.
///
/// A weight of n elements, flattened row by row, is cut into blocks of `block_size` elements, the last of which may be
/// short. A block stores its largest magnitude a (its absmax) and for each element the index of one of 16 values c: x ≈
/// c·a. Two indices share a byte, the first in the high half; the low half after an odd last element is 7, which means
/// 0.
///
/// Kernels always begin at the beginning of a block; block sizes are multiples of 32, so that is also the beginning of
/// a byte.
namespace coho::trainer::cpu {

/// The 16 values, which are also the `quant_map` of a checkpoint.
inline constexpr std::array<float, 16> nf4_values{-1.0F,
                                                  -0.6961928009986877F,
                                                  -0.5250730514526367F,
                                                  -0.39491748809814453F,
                                                  -0.28444138169288635F,
                                                  -0.18477343022823334F,
                                                  -0.09105003625154495F,
                                                  0.0F,
                                                  0.07958029955625534F,
                                                  0.16093020141124725F,
                                                  0.24611230194568634F,
                                                  0.33791524171829224F,
                                                  0.44070982933044434F,
                                                  0.5626170039176941F,
                                                  0.7229568362236023F,
                                                  1.0F};

/// The boundaries between values: the midpoints in fp32. x·(1/a) maps to value i, the number of b with x·(1/a) > b, so
/// ties go down.
inline constexpr std::array<float, 15> nf4_bounds = [] {
  std::array<float, 15> bounds{};
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = (nf4_values[i] + nf4_values[i + 1]) / 2;
  return bounds;
}();

/// The smallest divisor: blocks with a smaller absmax are searched with 1/1e-38, which gives a block of zeros the value
/// 0 (index 7) and keeps 1/a finite.
inline constexpr float nf4_least_divisor = 1e-38F;

/// The maximum number of rows that are multiplied directly from the codes.
inline constexpr std::int64_t nf4_matvec_rows = 8;

/// The arguments of a product with few rows: y[r, o] = Σ_i x[r, i]·W[o, i] for o in [first, last).
struct nf4_product {
  const float* x;             ///< [rows, in]
  std::int64_t rows, in;      ///< rows: 1 to `nf4_matvec_rows`
  const std::uint8_t* codes;  ///< of the whole weight W [out, in], as are absmax
  const float* absmax;        ///< [blocks], in fp32
  std::int64_t block_size;    ///< elements per block
  std::int64_t first, last;   ///< rows of W
  float* y;                   ///< [rows, ·]
  std::int64_t y_stride;      ///< between the rows of y
};

/// The kernels for one instruction set. `quantize*` and `dequantize*` give the same bits for all of them; sums of
/// `matvec` differ in their order, and so in the last bits.
struct nf4_kernels {
  const char* name;
  /// codes [⌈n/2⌉], absmax [blocks] of x [n]. A block with values that are not finite gets a non-finite absmax.
  void (*quantize)(const float* x, std::int64_t n, std::int64_t block_size, std::uint8_t* codes, float* absmax);
  /// The same with x in bf16, as bits.
  void (*quantize_bf16)(const std::uint16_t* x, std::int64_t n, std::int64_t block_size, std::uint8_t* codes,
                        float* absmax);
  /// out [n] = value·absmax, one fp32 product.
  void (*dequantize)(const std::uint8_t* codes, const float* absmax, std::int64_t n, std::int64_t block_size,
                     float* out);
  /// The same product rounded once to bf16, to nearest and ties to even.
  void (*dequantize_bf16)(const std::uint8_t* codes, const float* absmax, std::int64_t n, std::int64_t block_size,
                          std::uint16_t* out);
  /// Computes the part of a product that its arguments select. Each element of y is summed separately, in an order that
  /// depends only on `in` and the block boundaries.
  void (*matvec)(const nf4_product& product);
};

/// The kernels that can run on this machine, the portable ones first and the fastest last.
std::span<const nf4_kernels> available_nf4_kernels();
/// The fastest.
const nf4_kernels& best_nf4_kernels();

/// The signed dynamic map of 8 bits (Dettmers 2016, "8-bit approximations for parallelism in deep learning"): 256
/// increasing values; for i = 0 … 6 the midpoints of 2^i equal steps from 0.1 to 1, times 10^(i−6), with both signs,
/// and 0 and 1.
const std::array<float, 256>& nf4_nested_map();

/// Decodes the absmax of `count` blocks of weights from their 8-bit codes: map[q]·nested_absmax + offset, rounded after
/// each of the two operations. Block `first + i` goes to out[i].
void decode_nested_absmax(const std::uint8_t* codes, const float* nested_absmax, const float* map, float offset,
                          std::int64_t nested_block_size, std::int64_t first, std::int64_t count, float* out);

/// The 8-bit codes of absmax [count] − offset in blocks of `nested_block_size`: the nearest value of `nf4_nested_map()`
/// to (absmax − offset)·(1/nested_absmax), ties down. A block of zeros takes code 0.
void encode_nested_absmax(const float* absmax, std::int64_t count, float offset, std::int64_t nested_block_size,
                          std::uint8_t* codes, float* nested_absmax);

}  // namespace coho::trainer::cpu
