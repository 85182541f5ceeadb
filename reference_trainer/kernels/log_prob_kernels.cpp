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

void* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

void check(int status) {
  if (status != 0) throw error("log-prob kernel: CUDA error " + std::to_string(status));
}

void forward(float* logits, std::int64_t stride, std::int64_t rows, std::int64_t columns, const float* bias,
             float inverse_temperature, const std::int64_t* targets, std::int64_t first_column, float* maximum,
             float* sum, float* weighted_sum, float* chosen, float* rescale, float* entropy_block) {
  check(coho_cuda_log_prob_forward(logits, stride, rows, columns, bias, inverse_temperature, targets, first_column,
                                   maximum, sum, weighted_sum, chosen, rescale, entropy_block, current_stream()));
}

void backward(float* logits, std::int64_t stride, std::int64_t rows, std::int64_t columns, const float* bias,
              float inverse_temperature, const std::int64_t* targets, std::int64_t first_column,
              const float* log_sum_exp, const float* entropy, const float* d_log_prob, const float* d_entropy) {
  check(coho_cuda_log_prob_backward(logits, stride, rows, columns, bias, inverse_temperature, targets, first_column,
                                    log_sum_exp, entropy, d_log_prob, d_entropy, current_stream()));
}

}  // namespace

const log_prob_block_kernels* log_prob_kernels_for(at::Device device) {
  static constexpr log_prob_block_kernels cuda{.forward = forward, .backward = backward};
  return device.is_cuda() ? &cuda : nullptr;
}
#else
const log_prob_block_kernels* log_prob_kernels_for(at::Device /*device*/) { return nullptr; }
#endif

}  // namespace coho::trainer
