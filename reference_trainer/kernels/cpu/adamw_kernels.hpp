#pragma once

#include <cstdint>

/// One AdamW step (Loshchilov and Hutter 2019, algorithm 2) on fp32 parameters with moments stored in one of three
/// forms; torch-free and single-threaded: callers divide elements among threads.
///   m ← β1 m + (1−β1) g;  v ← β2 v + (1−β2) g²;  p ← p − lr·(m·c1 / (√(v·c2) + ε) + decay·p)
/// with c1 = 1/(1−β1^t), c2 = 1/(1−β2^t). In every form p is updated with the new m and v in fp32; only the values
/// stored for the next step are rounded.
namespace coho::trainer::cpu {

/// The numbers of one step that are the same for all elements; `correction1` and `correction2` are c1 and c2.
struct adamw_coefficients {
  float learning_rate, beta1, beta2, epsilon, weight_decay, correction1, correction2;
};

/// Moments in fp32.
void adamw(float* parameter, const float* gradient, float* first, float* second, std::int64_t n,
           const adamw_coefficients& coefficients);

/// 32 bits for element i of one step: the finaliser of MurmurHash3 on key ⊕ i. It is a bijection of 32-bit words, so a
/// key serves at most 2^32 elements.
constexpr std::uint32_t rounding_bits(std::uint32_t key, std::uint32_t i) {
  std::uint32_t h = key ^ i;
  h = (h ^ (h >> 16)) * 0x85ebca6bU;
  h = (h ^ (h >> 13)) * 0xc2b2ae35U;
  return h ^ (h >> 16);
}

/// Moments in bfloat16 (the bits), rounded stochastically: up with a probability equal to the truncated fraction of the
/// gap, so that E[stored] is the fp32 value. The low half of rounding_bits(key, start + i) rounds m of element i, the
/// high half v.
void adamw_bfloat16(float* parameter, const float* gradient, std::uint16_t* first, std::uint16_t* second,
                    std::int64_t n, const adamw_coefficients& coefficients, std::uint32_t key, std::uint32_t start);

/// Elements that share an absmax in `adamw_8bit`: at 4 bytes each, absmax adds 1.6 % to the codes.
constexpr std::int64_t moment_block = 256;

/// 256 sorted numbers in [−1, 1], the values of the codes. Code k+1 or above represents x ≥ boundaries[k].
struct dynamic_map {
  float values[256];
  float boundaries[255];
};
/// The dynamic maps of Dettmers et al. 2022 ("8-bit Optimizers via Block-wise Quantization", §2.1 and §2.2): seven
/// decades, each with twice the numbers of the one below. Signed, for m: for i = 0..6 the middles of 2^i equal parts of
/// [0.1, 1]·10^(i−6) with both signs, 0 and 1. Unsigned, for v: the middles of 2^(i+1) parts, 0 and 1. Boundaries are
/// the midpoints of neighbours, except that the unsigned map assigns only 0 to 0: v rounded to 0 with a non-zero m
/// would make the next step m/ε.
const dynamic_map& signed_dynamic_map();
const dynamic_map& unsigned_dynamic_map();

/// Moments in 8 bits: value = map[code] · absmax, one absmax for `moment_block` elements (the last block may be
/// shorter), code the nearest to x/absmax. `first_absmax` and `second_absmax` have one number per block.
void adamw_8bit(float* parameter, const float* gradient, std::uint8_t* first, std::uint8_t* second, float* first_absmax,
                float* second_absmax, std::int64_t n, const adamw_coefficients& coefficients);

}  // namespace coho::trainer::cpu
