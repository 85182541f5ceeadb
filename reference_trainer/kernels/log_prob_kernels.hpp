#pragma once

#include <ATen/ATen.h>

#include <coho/torch/log_prob_block.hpp>

namespace coho::trainer {

/// The kernels that process blocks of logits on a device, for `fused_log_probs`; null if the library's own code is used
/// (its loops on the CPU, libtorch's operators on a device without kernels). The only place that decides.
const log_prob_block_kernels* find_log_prob_kernels(at::Device device);

}  // namespace coho::trainer
