#pragma once

#include <cstdint>

#include "kernels/cuda/launchers.hpp"

// The same source is compiled by nvcc for the device and, in tests, by the host's compiler after an emulation of CUDA's
// language.
#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define COHO_UNROLL _Pragma("unroll")
#elif defined(COHO_CUDA_EMULATION)
#define COHO_UNROLL
#else
#error "kernels/cuda: compile with nvcc, or include tests/support/cuda_emulation.hpp first"
#endif

/// Code that the kernels share: 16-byte access, bf16, reductions in a fixed order, and the launch. Internal linkage
/// throughout, so that a test's emulation and the kernels themselves can be linked into one program.
namespace coho::trainer::cuda {
namespace {

constexpr int warp_size = 32;
constexpr unsigned whole_warp = 0xffffffffu;

/// A bf16 number: the upper half of an fp32 number.
struct bf16 {
  std::uint16_t bits;
};

/// A loaded number as fp32, in which all kernels compute.
__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }

/// Two numbers rounded to nearest even: `first` in the lower half, at the lower address.
__device__ inline unsigned pack_bf16(float first, float second) {
#if defined(__CUDA_ARCH__)
  unsigned both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  return both;
#else
  const auto rounded = [](float x) {
    const unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fffu : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  };
  return rounded(first) | rounded(second) << 16;
#endif
}

/// Writes one number, rounded to nearest even if the memory holds bf16.
__device__ inline void store(float* place, float x) { *place = x; }
__device__ inline void store(bf16* place, float x) { place->bits = static_cast<std::uint16_t>(pack_bf16(x, 0.0f)); }

/// Writes 16 bytes of numbers to memory aligned to 16 bytes.
__device__ inline void store16(float* place, const float (&x)[4]) {
  *reinterpret_cast<float4*>(place) = make_float4(x[0], x[1], x[2], x[3]);
}
__device__ inline void store16(bf16* place, const float (&x)[8]) {
  *reinterpret_cast<uint4*>(place) =
      make_uint4(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7]));
}

/// Eight read-only numbers; `place` is aligned to 16 bytes.
__device__ inline void load8(const float* place, float (&x)[8]) {
  const float4 low = __ldg(reinterpret_cast<const float4*>(place));
  const float4 high = __ldg(reinterpret_cast<const float4*>(place) + 1);
  x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
  x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
}
__device__ inline void load8(const bf16* place, float (&x)[8]) {
  const uint4 pairs = __ldg(reinterpret_cast<const uint4*>(place));
  const unsigned words[4] = {pairs.x, pairs.y, pairs.z, pairs.w};
  COHO_UNROLL
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = __uint_as_float(words[i] << 16);
    x[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

/// The sum of a warp's numbers, the same in every lane; all 32 lanes must call it.
__device__ inline float warp_sum(float x) {
  COHO_UNROLL
  for (int distance = warp_size / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(whole_warp, x, distance);
  return x;
}

/// The largest of a warp's numbers, the same in every lane; all 32 lanes must call it.
__device__ inline float warp_max(float x) {
  COHO_UNROLL
  for (int distance = warp_size / 2; distance > 0; distance /= 2) {
    x = fmaxf(x, __shfl_xor_sync(whole_warp, x, distance));
  }
  return x;
}

/// The sum over a block of Warps warps, the same in every thread, which all must call it. `slots`: shared memory that
/// nothing else uses, not even a second call.
template <int Warps>
__device__ float block_sum(float x, float (&slots)[Warps]) {
  x = warp_sum(x);
  if (threadIdx.x % warp_size == 0) slots[threadIdx.x / warp_size] = x;
  __syncthreads();
  float sum = slots[0];
  COHO_UNROLL
  for (int warp = 1; warp < Warps; ++warp) sum += slots[warp];
  return sum;
}

/// The largest number of a block, under the conditions of `block_sum`.
template <int Warps>
__device__ float block_max(float x, float (&slots)[Warps]) {
  x = warp_max(x);
  if (threadIdx.x % warp_size == 0) slots[threadIdx.x / warp_size] = x;
  __syncthreads();
  float most = slots[0];
  COHO_UNROLL
  for (int warp = 1; warp < Warps; ++warp) most = fmaxf(most, slots[warp]);
  return most;
}

/// Whether a host or device address is a multiple of `bytes`.
inline bool is_aligned(const void* pointer, std::uintptr_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

/// ⌈a/b⌉ without the overflow of a + b − 1.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

/// Enqueues `kernel` on blocks·threads threads; returns the launch's own error, not one left by an earlier call.
template <typename... Parameters, typename... Arguments>
int launch(void (*kernel)(Parameters...), std::int64_t blocks, int threads, void* stream, Arguments... arguments) {
  if (blocks < 1 || blocks > 0x7fffffff) return cudaErrorInvalidValue;
#if defined(__CUDACC__)
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = static_cast<cudaStream_t>(stream);
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
#else
  static_cast<void>(stream);
  return emulation::run(static_cast<unsigned>(blocks), static_cast<unsigned>(threads),
                        [&] { kernel(static_cast<Parameters>(arguments)...); });
#endif
}

}  // namespace
}  // namespace coho::trainer::cuda
