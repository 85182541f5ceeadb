#pragma once

#include <span>
#include <vector>

#include <ATen/ATen.h>

namespace coho::trainer {

/// All numbers of a tensor, row by row, on the host.
std::vector<double> to_doubles(const at::Tensor& tensor);
/// Host numbers as a tensor [n] with the device and type of `like`.
at::Tensor from_doubles(std::span<const double> numbers, const at::Tensor& like);

}  // namespace coho::trainer
