#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ATen.h>

#include <coho/packed.hpp>

namespace coho::trainer {

/// int64 [n] of indices or lengths on a device.
at::Tensor index_tensor(std::span<const std::int64_t> values, at::Device device = at::kCPU);
/// int64 [n] of token ids on a device.
at::Tensor token_tensor(std::span<const token> tokens, at::Device device = at::kCPU);

/// All numbers of a tensor, row by row, on the host.
std::vector<double> to_doubles(const at::Tensor& tensor);
/// Host numbers as a tensor [n] with the device and type of `like`.
at::Tensor from_doubles(std::span<const double> numbers, const at::Tensor& like);

}  // namespace coho::trainer
