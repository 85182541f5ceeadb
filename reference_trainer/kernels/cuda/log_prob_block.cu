// Softmax over the vocabulary one block of columns at a time, forward and backward, in place; one thread block per row.
#include "kernels/cuda/device_functions.hpp"

namespace coho::trainer::cuda {
namespace {

constexpr int warps = 8;
constexpr int threads = warps * warp_size;
constexpr float infinity = __builtin_huge_valf();
constexpr float no_probability = -128.0f;  // exp of anything less is 0 in fp32; keeps 0·(−∞) out of sums

// Calls f(column, z) for this thread's columns of a row, four adjacent ones at a time if Vector.
template <bool Vector, typename F>
__device__ inline void for_columns(const coho_cuda_logit_block& block, const float* line, F f) {
  const float* const bias = block.bias;
  const float inverse_temperature = block.inverse_temperature;
  const std::int64_t columns = block.columns;
  if constexpr (Vector) {
    const std::int64_t fours = columns / 4;
    for (std::int64_t i = threadIdx.x; i < fours; i += threads) {
      const float4 logit = reinterpret_cast<const float4*>(line)[i];
      float4 add = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (bias != nullptr) add = __ldg(reinterpret_cast<const float4*>(bias) + i);
      const float z[4] = {fmaf(logit.x, inverse_temperature, add.x), fmaf(logit.y, inverse_temperature, add.y),
                          fmaf(logit.z, inverse_temperature, add.z), fmaf(logit.w, inverse_temperature, add.w)};
      f(4 * i, z);
    }
  }
  for (std::int64_t c = (Vector ? columns / 4 * 4 : 0) + threadIdx.x; c < columns; c += threads) {
    const float z[1] = {fmaf(line[c], inverse_temperature, bias != nullptr ? __ldg(bias + c) : 0.0f)};
    f(c, z);
  }
}

// What `for_columns` read, one number or four, is written back.
__device__ inline void write(float* place, const float (&x)[4]) { store16(place, x); }
__device__ inline void write(float* place, const float (&x)[1]) { *place = x[0]; }

// The step of the online softmax that launchers.hpp defines, for row blockIdx.x.
template <bool Vector>
__global__ void __launch_bounds__(threads) log_prob_forward(coho_cuda_logit_block block, coho_cuda_softmax_sums state) {
  __shared__ float largest[warps], sums[warps], products[warps];
  const std::int64_t row = blockIdx.x;
  float* const line = block.logits + row * block.stride;

  float most = -infinity;
  for_columns<Vector>(block, line, [&](std::int64_t, const auto& z) {
    COHO_UNROLL
    for (float x : z) most = fmaxf(most, x);
  });
  // Read before any thread writes: block_max is the barrier.
  const float before = state.maximum[row];
  float target_logit = 0.0f;
  const std::int64_t target = block.targets[row] - block.first_column;
  const bool inside = target >= 0 && target < block.columns;
  if (threadIdx.x == 0 && inside) {
    const float bias = block.bias != nullptr ? __ldg(block.bias + target) : 0.0f;
    target_logit = fmaf(line[target], block.inverse_temperature, bias);
  }
  const float after = fmaxf(before, block_max(most, largest));
  const float shift = after == -infinity ? 0.0f : after;

  float mine = 0.0f, mine_weighted = 0.0f;
  const bool weighted = state.weighted_sum != nullptr || state.entropy_block != nullptr;
  float* const products_of_row = state.entropy_block != nullptr ? state.entropy_block + row * block.columns : nullptr;
  for_columns<Vector>(block, line, [&](std::int64_t c, const auto& z) {
    constexpr int count = sizeof(z) / sizeof(float);
    float e[count];
    COHO_UNROLL
    for (int j = 0; j < count; ++j) mine += e[j] = expf(z[j] - shift);
    write(line + c, e);
    if (weighted) {
      float product[count];
      COHO_UNROLL
      for (int j = 0; j < count; ++j) mine_weighted += product[j] = fmaxf(z[j] - shift, no_probability) * e[j];
      if (products_of_row != nullptr) write(products_of_row + c, product);
    }
  });
  const float total = block_sum(mine, sums);
  const float total_weighted = weighted ? block_sum(mine_weighted, products) : 0.0f;

  if (threadIdx.x != 0) return;
  const bool first = before == -infinity;
  const float factor = first ? 0.0f : expf(before - shift);
  const float sum_before = state.sum[row];
  if (state.weighted_sum != nullptr) {
    const float moved = first ? 0.0f : factor * (state.weighted_sum[row] + (before - shift) * sum_before);
    state.weighted_sum[row] = moved + total_weighted;
  }
  state.sum[row] = factor * sum_before + total;
  state.maximum[row] = after;
  state.rescale[row] = factor;
  if (inside) state.chosen[row] = target_logit;
}

// The gradient of launchers.hpp for row blockIdx.x, written over the logits.
template <bool Vector>
__global__ void __launch_bounds__(threads)
    log_prob_backward(coho_cuda_logit_block block, coho_cuda_log_prob_gradient gradient) {
  const std::int64_t row = blockIdx.x;
  float* const line = block.logits + row * block.stride;
  const std::int64_t target = block.targets[row] - block.first_column;
  const float normaliser = gradient.log_sum_exp[row];
  const float g = gradient.d_log_prob != nullptr ? gradient.d_log_prob[row] : 0.0f;
  const float h = gradient.d_entropy != nullptr ? gradient.d_entropy[row] : 0.0f;
  const float entropy_of_row = gradient.d_entropy != nullptr ? gradient.entropy[row] : 0.0f;
  for_columns<Vector>(block, line, [&](std::int64_t c, const auto& z) {
    constexpr int count = sizeof(z) / sizeof(float);
    float d[count];
    COHO_UNROLL
    for (int j = 0; j < count; ++j) {
      const float log_p = z[j] - normaliser;
      const float slope = g + h * (fmaxf(log_p, no_probability) + entropy_of_row);
      d[j] = block.inverse_temperature * ((c + j == target ? g : 0.0f) - expf(log_p) * slope);
    }
    write(line + c, d);
  });
}

// Whether each row begins at a multiple of 16 bytes.
bool rows_are_aligned(const float* matrix, std::int64_t stride) {
  return matrix == nullptr || (is_aligned(matrix, 16) && stride % 4 == 0);
}

// The conditions on a block that both launchers share.
bool is_valid(const coho_cuda_logit_block* block) {
  return block != nullptr && block->logits != nullptr && block->targets != nullptr && block->rows >= 1 &&
         block->columns >= 1 && block->stride >= block->columns;
}

}  // namespace
}  // namespace coho::trainer::cuda

extern "C" int coho_cuda_log_prob_forward(const coho_cuda_logit_block* block, const coho_cuda_softmax_sums* sums,
                                          void* stream) {
  using namespace coho::trainer::cuda;
  if (!is_valid(block) || sums == nullptr) return cudaErrorInvalidValue;
  if (sums->maximum == nullptr || sums->sum == nullptr || sums->chosen == nullptr || sums->rescale == nullptr)
    return cudaErrorInvalidValue;
  const bool vectors = rows_are_aligned(block->logits, block->stride) && rows_are_aligned(block->bias, 0) &&
                       rows_are_aligned(sums->entropy_block, block->columns);
  return launch(vectors ? log_prob_forward<true> : log_prob_forward<false>, block->rows, threads, stream, *block,
                *sums);
}

extern "C" int coho_cuda_log_prob_backward(const coho_cuda_logit_block* block,
                                           const coho_cuda_log_prob_gradient* gradient, void* stream) {
  using namespace coho::trainer::cuda;
  if (!is_valid(block) || gradient == nullptr || gradient->log_sum_exp == nullptr) return cudaErrorInvalidValue;
  if (gradient->d_entropy != nullptr && gradient->entropy == nullptr) return cudaErrorInvalidValue;
  const bool vectors = rows_are_aligned(block->logits, block->stride) && rows_are_aligned(block->bias, 0);
  return launch(vectors ? log_prob_backward<true> : log_prob_backward<false>, block->rows, threads, stream, *block,
                *gradient);
}
