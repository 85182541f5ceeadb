// A weight in NF4 to fp32 or bf16. Memory-bound: per element 0.5 byte read and 2 or 4 written.
#include "kernels/cuda/nf4_weight.hpp"

namespace coho::trainer::cuda {
namespace {

constexpr int threads = 256;
constexpr int vectors_per_thread = 4;  // loads in flight at once

// A vector is the 16 bytes that a thread writes at a time. Its codes come in one word, so that the words read and the
// vectors written by a warp are both adjacent: reading 16 bytes of codes per thread would scatter the writes.
template <typename Out>
struct vector_of;
template <>
struct vector_of<float> {
  using word = std::uint16_t;
  static constexpr int elements = 4;
};
template <>
struct vector_of<bf16> {
  using word = std::uint32_t;
  static constexpr int elements = 8;
};

// The fast path: whole vectors, `vectors_per_thread` per thread, and the last elements one at a time.
template <typename Out>
__global__ void __launch_bounds__(threads) dequantize_vectors(nf4_weight weight, Out* __restrict__ out) {
  using word = typename vector_of<Out>::word;
  constexpr int elements = vector_of<Out>::elements;
  COHO_SHARED_VALUES(values);
  load_shared_values(values);
  __syncthreads();

  const std::int64_t vectors = weight.n / elements;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (threads * vectors_per_thread) + threadIdx.x;
  const word* const words = reinterpret_cast<const word*>(weight.codes);
  if (vectors > 0) {
    // Past the end, the last vector is loaded again, so that no load waits for a branch.
    word codes[vectors_per_thread];
    std::int64_t blocks[vectors_per_thread];
    float scales[vectors_per_thread];
    COHO_UNROLL
    for (int i = 0; i < vectors_per_thread; ++i) {
      const std::int64_t vector = first + i * threads < vectors ? first + i * threads : vectors - 1;
      codes[i] = __ldg(words + vector);
      blocks[i] = vector * elements >> weight.block_shift;
    }
    block_scales(weight, blocks, scales);
    COHO_UNROLL
    for (int i = 0; i < vectors_per_thread; ++i) {
      float x[elements];
      decode(codes[i], values, x);
      COHO_UNROLL
      for (int j = 0; j < elements; ++j) x[j] *= scales[i];
      if (first + i * threads < vectors) store16(out + (first + i * threads) * elements, x);
    }
  }

  // The last elements, fewer than a vector.
  const std::int64_t rest = vectors * elements + threadIdx.x;
  if (blockIdx.x == 0 && rest < weight.n) {
    store(out + rest, values[code_of(weight, rest)] * block_scale(weight, rest >> weight.block_shift));
  }
}

// Any block size and alignment: one element per thread.
template <typename Out>
__global__ void __launch_bounds__(threads) dequantize_elements(nf4_weight weight, Out* __restrict__ out) {
  COHO_SHARED_VALUES(values);
  load_shared_values(values);
  __syncthreads();
  const std::int64_t element = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (element < weight.n) {
    store(out + element, values[code_of(weight, element)] * block_scale(weight, element >> weight.block_shift));
  }
}

// Launches the vector kernel where block size and alignment allow it; returns a cudaError_t.
template <typename Out>
int dequantize(const nf4_weight& weight, Out* out, void* stream) {
  constexpr int elements = vector_of<Out>::elements;
  if ((std::int64_t{1} << weight.block_shift) >= elements && is_aligned(out, 16) &&
      is_aligned(weight.codes, sizeof(typename vector_of<Out>::word))) {
    const std::int64_t blocks = divide_up(weight.n / elements, threads * vectors_per_thread);
    return launch(dequantize_vectors<Out>, blocks > 0 ? blocks : 1, threads, stream, weight, out);
  }
  return launch(dequantize_elements<Out>, divide_up(weight.n, threads), threads, stream, weight, out);
}

}  // namespace
}  // namespace coho::trainer::cuda

extern "C" int coho_cuda_nf4_dequantize(const coho_cuda_nf4* weight, void* out, int type, void* stream) {
  using namespace coho::trainer::cuda;
  nf4_weight converted;
  if (out == nullptr || !to_kernel_weight(weight, converted)) return cudaErrorInvalidValue;
  if (type == coho_cuda_float32 && is_aligned(out, 4)) return dequantize(converted, static_cast<float*>(out), stream);
  if (type == coho_cuda_bfloat16 && is_aligned(out, 2)) return dequantize(converted, static_cast<bf16*>(out), stream);
  return cudaErrorInvalidValue;
}
