// A weight in NF4 to fp32 or bf16. Memory-bound: per element 0.5 byte read and 2 or 4 written.
#include "kernels/cuda/nf4_weight.hpp"

namespace coho::trainer::cuda {
namespace {

constexpr int threads = 256;
constexpr int vectors_a_thread = 4;  // loads in flight at once

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

template <typename Out>
__global__ void __launch_bounds__(threads) dequantise_vectors(nf4_weight weight, Out* __restrict__ out) {
  using word = typename vector_of<Out>::word;
  constexpr int elements = vector_of<Out>::elements;
  COHO_SHARED_VALUES(values);
  share_values(values);
  __syncthreads();

  const std::int64_t vectors = weight.n / elements;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (threads * vectors_a_thread) + threadIdx.x;
  const word* const words = reinterpret_cast<const word*>(weight.codes);
  if (vectors > 0) {
    // Past the end, the last vector is loaded again, so that no load waits for a branch.
    word codes[vectors_a_thread];
    std::int64_t blocks[vectors_a_thread];
    float scales[vectors_a_thread];
    COHO_UNROLL
    for (int i = 0; i < vectors_a_thread; ++i) {
      const std::int64_t vector = first + i * threads < vectors ? first + i * threads : vectors - 1;
      codes[i] = __ldg(words + vector);
      blocks[i] = vector * elements >> weight.block_shift;
    }
    block_scales(weight, blocks, scales);
    COHO_UNROLL
    for (int i = 0; i < vectors_a_thread; ++i) {
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
__global__ void __launch_bounds__(threads) dequantise_elements(nf4_weight weight, Out* __restrict__ out) {
  COHO_SHARED_VALUES(values);
  share_values(values);
  __syncthreads();
  const std::int64_t element = static_cast<std::int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (element < weight.n) {
    store(out + element, values[code_of(weight, element)] * block_scale(weight, element >> weight.block_shift));
  }
}

template <typename Out>
int dequantise(const nf4_weight& weight, Out* out, void* stream) {
  constexpr int elements = vector_of<Out>::elements;
  if ((std::int64_t{1} << weight.block_shift) >= elements && aligned_to(out, 16) &&
      aligned_to(weight.codes, sizeof(typename vector_of<Out>::word))) {
    const std::int64_t blocks = divide_up(weight.n / elements, threads * vectors_a_thread);
    return launch(dequantise_vectors<Out>, blocks > 0 ? blocks : 1, threads, stream, weight, out);
  }
  return launch(dequantise_elements<Out>, divide_up(weight.n, threads), threads, stream, weight, out);
}

}  // namespace
}  // namespace coho::trainer::cuda

extern "C" int coho_cuda_nf4_dequantise(const coho_cuda_nf4* weight, void* out, int type, void* stream) {
  using namespace coho::trainer::cuda;
  nf4_weight described;
  if (out == nullptr || !describe(weight, described)) return cudaErrorInvalidValue;
  if (type == coho_cuda_float32 && aligned_to(out, 4)) return dequantise(described, static_cast<float*>(out), stream);
  if (type == coho_cuda_bfloat16 && aligned_to(out, 2)) return dequantise(described, static_cast<bf16*>(out), stream);
  return cudaErrorInvalidValue;
}
