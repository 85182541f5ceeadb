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
void* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

// Throws `error` for a cudaError_t other than success.
void check(int status) {
  if (status != 0) throw error("log-prob kernel: CUDA error " + std::to_string(status));
}

// One block of columns of the softmax's forward pass on the current stream.
void forward(const logit_block<float>& block, const softmax_sums<float>& sums) {
  check(coho_cuda_log_prob_forward(block.logits, block.stride, block.rows, block.columns, block.bias,
                                   block.inverse_temperature, block.targets, block.first_column, sums.maximum, sums.sum,
                                   sums.weighted_sum, sums.chosen, sums.rescale, sums.entropy_block, current_stream()));
}

// The gradient of one block of logits, in place, on the current stream.
void backward(const logit_block<float>& block, const log_prob_slopes<float>& slopes) {
  check(coho_cuda_log_prob_backward(block.logits, block.stride, block.rows, block.columns, block.bias,
                                    block.inverse_temperature, block.targets, block.first_column, slopes.log_sum_exp,
                                    slopes.entropy, slopes.d_log_prob, slopes.d_entropy, current_stream()));
}

}  // namespace

const log_prob_block_kernels* find_log_prob_kernels(at::Device device) {
  static constexpr log_prob_block_kernels cuda{.forward = forward, .backward = backward};
  return device.is_cuda() ? &cuda : nullptr;
}
#else
const log_prob_block_kernels* find_log_prob_kernels(at::Device /*device*/) { return nullptr; }
#endif

}  // namespace coho::trainer
