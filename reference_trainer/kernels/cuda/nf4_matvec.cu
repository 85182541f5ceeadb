// y = x Wᵀ for up to eight rows of x, directly from the codes. One row is bound by reading the codes; more are bound by
// fp32 arithmetic, where a kernel on tensor cores would pay off.
#include "kernels/cuda/nf4_weight.hpp"

namespace coho::trainer::cuda {
namespace {

constexpr int warps = 4;
constexpr int threads = warps * warp_size;
constexpr int word_codes = 8;
constexpr int words_per_lane = 4;
constexpr int step = word_codes * words_per_lane * warp_size;  // codes of a row per warp and iteration: 1024

// Rows of W per warp: the loaded part of x serves them all; their codes are loaded before any is used.
template <int Batch>
constexpr int rows_per_warp = Batch == 1 ? 4 : 2;

// Adds the warps' and lanes' partial sums in a fixed order and writes y [batch, rows] for Rows rows from `first` on.
template <typename X, int Batch, int Rows>
__device__ void write_sums(const float (&sums)[Rows][Batch], std::int64_t first, std::int64_t rows, X* __restrict__ y) {
  __shared__ float partial[warps][Rows * Batch];
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  COHO_UNROLL
  for (int r = 0; r < Rows; ++r) {
    COHO_UNROLL
    for (int b = 0; b < Batch; ++b) {
      const float sum = warp_sum(sums[r][b]);
      if (lane == 0) partial[warp][r * Batch + b] = sum;
    }
  }
  __syncthreads();
  const int mine = threadIdx.x;
  if (mine < Rows * Batch && first + mine / Batch < rows) {
    float sum = partial[0][mine];
    COHO_UNROLL
    for (int w = 1; w < warps; ++w) sum += partial[w][mine];
    store(y + (mine % Batch) * rows + first + mine / Batch, sum);
  }
}

// A thread block takes a few rows of W, its warps take steps of these rows in turn. Words of 4 bytes per lane, not 16:
// then the 8 numbers of x that a lane needs are next to its neighbour's, and x comes from the L1 cache without
// conflicts.
template <typename X, int Batch>
__global__ void __launch_bounds__(threads, 5)
    matvec_words(nf4_weight weight, const X* __restrict__ x, int in, std::int64_t rows, X* __restrict__ y) {
  constexpr int Rows = rows_per_warp<Batch>;
  COHO_SHARED_VALUES(values);
  load_shared_values(values);
  __syncthreads();

  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * Rows;
  std::int64_t begins[Rows];  // of the rows, in codes
  const std::uint32_t* words[Rows];
  COHO_UNROLL
  for (int r = 0; r < Rows; ++r) {
    begins[r] = (first + r < rows ? first + r : rows - 1) * in;  // past the last row: not written
    words[r] = reinterpret_cast<const std::uint32_t*>(weight.codes + (begins[r] >> 1)) + lane;
  }

  float sums[Rows][Batch] = {};
  for (int begin = warp * step; begin < in; begin += warps * step) {
    std::uint32_t codes[Rows][words_per_lane];
    // Lane l holds the scale of the l-th block that the step touches: at most 17 blocks of at least 64 elements.
    float scales[Rows];
    std::int64_t blocks[Rows];
    int into_block[Rows];  // how far into its block the step begins
    const int count = in - begin < step ? in - begin : step;
    COHO_UNROLL
    for (int r = 0; r < Rows; ++r) {
      COHO_UNROLL
      for (int i = 0; i < words_per_lane; ++i) {
        codes[r][i] =
            (i * warp_size + lane) * word_codes < count ? __ldg(words[r] + (begin / word_codes + i * warp_size)) : 0u;
      }
      into_block[r] = static_cast<int>((begins[r] + begin) & ((std::int64_t{1} << weight.block_shift) - 1));
      const int last = (into_block[r] + count - 1) >> weight.block_shift;
      blocks[r] = ((begins[r] + begin) >> weight.block_shift) + (lane < last ? lane : last);
    }
    block_scales(weight, blocks, scales);
    COHO_UNROLL
    for (int i = 0; i < words_per_lane; ++i) {
      const int offset = (i * warp_size + lane) * word_codes;
      float w[Rows][word_codes], scale[Rows];
      COHO_UNROLL
      for (int r = 0; r < Rows; ++r) {
        scale[r] = __shfl_sync(whole_warp, scales[r], (into_block[r] + offset) >> weight.block_shift);
        decode(codes[r][i], values, w[r]);
      }
      if (offset < count) {
        COHO_UNROLL
        for (int b = 0; b < Batch; ++b) {
          float numbers[word_codes];
          load8(x + static_cast<std::int64_t>(b) * in + begin + offset, numbers);
          COHO_UNROLL
          for (int r = 0; r < Rows; ++r) {
            float sum = w[r][0] * numbers[0];
            COHO_UNROLL
            for (int j = 1; j < word_codes; ++j) sum += w[r][j] * numbers[j];
            sums[r][b] += sum * scale[r];
          }
        }
      }
    }
  }
  write_sums<X, Batch, Rows>(sums, first, rows, y);
}

// Any width, block size and alignment: one thread block per row, one element per thread.
template <typename X, int Batch>
__global__ void __launch_bounds__(threads)
    matvec_elements(nf4_weight weight, const X* __restrict__ x, int in, std::int64_t rows, X* __restrict__ y) {
  COHO_SHARED_VALUES(values);
  load_shared_values(values);
  __syncthreads();

  const std::int64_t row = blockIdx.x;
  float sums[1][Batch] = {};
  for (int k = threadIdx.x; k < in; k += threads) {
    const std::int64_t element = row * in + k;
    const float w = values[code_of(weight, element)] * block_scale(weight, element >> weight.block_shift);
    COHO_UNROLL
    for (int b = 0; b < Batch; ++b) sums[0][b] += w * to_float(x[static_cast<std::int64_t>(b) * in + k]);
  }
  write_sums<X, Batch, 1>(sums, row, rows, y);
}

// Finds the kernel compiled for this batch, counting down from Batch, and launches the fast one where width, block size
// and alignment allow it; returns a cudaError_t.
template <int Batch, typename X>
int matvec(const nf4_weight& weight, const X* x, std::int64_t batch, int in, std::int64_t rows, X* y, void* stream) {
  if (batch < Batch) {
    if constexpr (Batch > 1) return matvec<Batch - 1>(weight, x, batch, in, rows, y, stream);
  }
  if (in % word_codes == 0 && weight.block_shift >= 6 && is_aligned(x, 16) && is_aligned(weight.codes, 4)) {
    return launch(matvec_words<X, Batch>, divide_up(rows, rows_per_warp<Batch>), threads, stream, weight, x, in, rows,
                  y);
  }
  return launch(matvec_elements<X, Batch>, rows, threads, stream, weight, x, in, rows, y);
}

}  // namespace
}  // namespace coho::trainer::cuda

extern "C" int coho_cuda_nf4_matvec(const coho_cuda_nf4* weight, const void* x, std::int64_t batch, std::int64_t in,
                                    std::int64_t rows, void* y, int type, void* stream) {
  using namespace coho::trainer::cuda;
  nf4_weight converted;
  if (x == nullptr || y == nullptr || !to_kernel_weight(weight, converted)) return cudaErrorInvalidValue;
  if (batch < 1 || batch > 8 || in < 1 || in >= 1 << 30 || rows < 1 || rows > weight->n) return cudaErrorInvalidValue;
  if (rows * in != weight->n) return cudaErrorInvalidValue;
  const int width = static_cast<int>(in);
  if (type == coho_cuda_float32 && is_aligned(x, 4) && is_aligned(y, 4)) {
    return matvec<8>(converted, static_cast<const float*>(x), batch, width, rows, static_cast<float*>(y), stream);
  }
  if (type == coho_cuda_bfloat16 && is_aligned(x, 2) && is_aligned(y, 2)) {
    return matvec<8>(converted, static_cast<const bf16*>(x), batch, width, rows, static_cast<bf16*>(y), stream);
  }
  return cudaErrorInvalidValue;
}
