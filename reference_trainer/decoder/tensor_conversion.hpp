#pragma once

#include <cstdint>
#include <span>

#include <ATen/ATen.h>

#include <coho/packed.hpp>

namespace coho::trainer {

/// int64 [n] of indices or lengths on a device.
at::Tensor index_tensor(std::span<const std::int64_t> values, at::Device device = at::kCPU);
/// int64 [n] of token ids on a device.
at::Tensor token_tensor(std::span<const token> tokens, at::Device device = at::kCPU);

}  // namespace coho::trainer
