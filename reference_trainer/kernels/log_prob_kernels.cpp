#include "kernels/log_prob_kernels.hpp"

#ifdef COHO_HAVE_CUDA_KERNELS
#include <string>

#include <c10/cuda/CUDAStream.h>

#include <coho/error.hpp>

#include "kernels/cuda/launchers.hpp"
#endif

namespace coho::trainer {

#ifdef COHO_HAVE_CUDA_KERNELS
namespace {

// libtorch's stream, as the launchers take it.
void* current_cuda_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

// Throws `error` for a cudaError_t other than success.
void check_cuda_status(int status) {
  if (status != 0) throw error("log-prob kernel: CUDA error " + std::to_string(status));
}

// The library's description of a block in the launchers' form.
coho_cuda_logit_block to_cuda_block(const logit_block<float>& block) {
  return {.logits = block.logits,
          .stride = block.stride,
          .rows = block.rows,
          .columns = block.columns,
          .bias = block.bias,
          .inverse_temperature = block.inverse_temperature,
          .targets = block.targets,
          .first_column = block.first_column};
}

// One block of columns of the softmax's forward pass, on the current stream.
void fused_log_prob_forward(const logit_block<float>& block, const softmax_sums<float>& sums) {
  const coho_cuda_logit_block logits = to_cuda_block(block);
  const coho_cuda_softmax_sums state{.maximum = sums.maximum,
                                     .sum = sums.sum,
                                     .weighted_sum = sums.weighted_sum,
                                     .chosen = sums.chosen,
                                     .rescale = sums.rescale,
                                     .entropy_block = sums.entropy_block};
  check_cuda_status(coho_cuda_log_prob_forward(&logits, &state, current_cuda_stream()));
}

// The gradient of one block of logits, in place, on the current stream.
void fused_log_prob_backward(const logit_block<float>& block, const log_prob_slopes<float>& slopes) {
  const coho_cuda_logit_block logits = to_cuda_block(block);
  const coho_cuda_log_prob_gradient gradient{.log_sum_exp = slopes.log_sum_exp,
                                             .entropy = slopes.entropy,
                                             .d_log_prob = slopes.d_log_prob,
                                             .d_entropy = slopes.d_entropy};
  check_cuda_status(coho_cuda_log_prob_backward(&logits, &gradient, current_cuda_stream()));
}

}  // namespace

const log_prob_block_kernels* find_log_prob_kernels(at::Device device) {
  static constexpr log_prob_block_kernels cuda{.forward = fused_log_prob_forward, .backward = fused_log_prob_backward};
  return device.is_cuda() ? &cuda : nullptr;
}
#else
const log_prob_block_kernels* find_log_prob_kernels(at::Device /*device*/) { return nullptr; }
#endif

}  // namespace coho::trainer
