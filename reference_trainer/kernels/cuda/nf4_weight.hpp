#pragma once

#include "kernels/cuda/device_functions.hpp"

namespace coho::trainer::cuda {
namespace {

/// The sixteen NF4 values (QLoRA, appendix E), as fp32.
__constant__ const float nf4_values[16] = {-1.0f,
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

/// coho_cuda_nf4 in the form that kernels take: the block sizes as powers of two.
struct nf4_weight {
  const std::uint8_t* codes;
  const void* absmax;
  const float* nested_map;
  const float* nested_absmax;
  float nested_offset;
  int block_shift, nested_shift;
  std::int64_t n;
};

/// The scales of Count blocks, all loads of a kind before the first use. No fused multiply-add: the product is rounded
/// before the offset is added, as on the CPU.
template <int Count>
__device__ inline void block_scales(const nf4_weight& weight, const std::int64_t (&blocks)[Count],
                                    float (&scales)[Count]) {
  if (weight.nested_map == nullptr) {
    COHO_UNROLL
    for (int i = 0; i < Count; ++i) scales[i] = __ldg(static_cast<const float*>(weight.absmax) + blocks[i]);
    return;
  }
  unsigned indices[Count];
  float outer[Count];
  COHO_UNROLL
  for (int i = 0; i < Count; ++i) {
    indices[i] = __ldg(static_cast<const unsigned char*>(weight.absmax) + blocks[i]);
    outer[i] = __ldg(weight.nested_absmax + (blocks[i] >> weight.nested_shift));
  }
  COHO_UNROLL
  for (int i = 0; i < Count; ++i) {
    scales[i] = __fadd_rn(__fmul_rn(__ldg(weight.nested_map + indices[i]), outer[i]), weight.nested_offset);
  }
}

/// The scale of one block.
__device__ inline float block_scale(const nf4_weight& weight, std::int64_t block) {
  const std::int64_t blocks[1] = {block};
  float scales[1];
  block_scales(weight, blocks, scales);
  return scales[0];
}

/// The code of one element: even elements in the high four bits.
__device__ inline unsigned code_of(const nf4_weight& weight, std::int64_t element) {
  const unsigned both = __ldg(weight.codes + (element >> 1));
  return element % 2 == 0 ? both >> 4 : both & 15u;
}

/// The values in shared memory: constant memory would serialise the codes of a warp, while here sixteen words are in
/// sixteen banks. Declare with COHO_SHARED_VALUES(name), followed by __syncthreads().
#define COHO_SHARED_VALUES(name) __shared__ __align__(256) float name[16]
__device__ inline void load_shared_values(float (&values)[16]) {
  if (threadIdx.x < 16) values[threadIdx.x] = nf4_values[threadIdx.x];
}

/// The address of the shared values, 32 bits with a last byte of 0.
__device__ inline unsigned shared_address([[maybe_unused]] const float (&values)[16]) {
#if defined(__CUDA_ARCH__)
  return static_cast<unsigned>(__cvta_generic_to_shared(values));
#else
  return 0x12345600u;
#endif
}

/// The value at a shared address that `decode` has computed: a load that needs no conversion to a generic pointer.
__device__ inline float shared_value(unsigned address, [[maybe_unused]] const float (&values)[16]) {
#if defined(__CUDA_ARCH__)
  float x;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(address));
  return x;
#else
  return values[(address - shared_address(values)) / 4];
#endif
}

/// The values of the Count codes in a word loaded from memory (little-endian: the first byte in the lowest bits);
/// `values` as shared. Integer instructions limit the product: codes are multiplied by 4 four at a time, and one
/// instruction appends a byte of that to the other bytes of the table's address.
template <int Count>
__device__ inline void decode(unsigned word, const float (&values)[16], float (&x)[Count]) {
  const unsigned even = (word >> 2) & 0x3c3c3c3cu, odd = (word << 2) & 0x3c3c3c3cu;  // the high and the low four bits
  const unsigned table = shared_address(values);
  COHO_UNROLL
  for (int i = 0; i < Count / 2; ++i) {
    x[2 * i] = shared_value(__byte_perm(even, table, 0x7650u | i), values);
    x[2 * i + 1] = shared_value(__byte_perm(odd, table, 0x7650u | i), values);
  }
}

/// log₂ of a power of two from 2 to 2³⁰; −1 for anything else.
inline int exact_log2(std::int64_t size) {
  if (size < 2 || size > 1 << 30 || (size & (size - 1)) != 0) return -1;
  int shift = 0;
  while ((std::int64_t{1} << shift) < size) ++shift;
  return shift;
}

/// Converts the launchers' description to the kernels' form. False, with `to` undefined, if it is invalid: null
/// pointers, no elements, or a block size that is not a power of two from 2 to 2³⁰.
inline bool to_kernel_weight(const coho_cuda_nf4* from, nf4_weight& to) {
  if (from == nullptr || from->codes == nullptr || from->absmax == nullptr || from->n < 1) return false;
  const bool nested = from->nested_map != nullptr;
  if (nested && from->nested_absmax == nullptr) return false;
  if (!is_aligned(from->absmax, nested ? 1 : 4)) return false;
  to = {from->codes,
        from->absmax,
        from->nested_map,
        from->nested_absmax,
        from->nested_offset,
        exact_log2(from->block_size),
        nested ? exact_log2(from->nested_block_size) : 0,
        from->n};
  return to.block_shift > 0 && to.nested_shift >= 0;
}

}  // namespace
}  // namespace coho::trainer::cuda
