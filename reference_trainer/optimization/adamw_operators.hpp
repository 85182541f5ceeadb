#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "kernels/cpu/adamw_kernels.hpp"

/// The steps of kernels/cpu/adamw_kernels.hpp by libtorch operators: the same meaning on any device. The stochastic
/// rounding has the same random bits; the order of multiplications and additions is each device's own, so that results
/// agree to rounding and not bit for bit. All tensors are 1-d, contiguous and changed in place.
namespace coho::trainer {

void adamw_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                        const at::Tensor& second, const cpu::adamw_numbers& numbers);

/// first, second: bfloat16. `start`: the place of the first element in the sequence of rounding_bits(key, ·).
void adamw_bfloat16_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                                 const at::Tensor& second, const cpu::adamw_numbers& numbers, std::uint32_t key,
                                 std::uint32_t start);

/// first, second: uint8 codes; first_absmax, second_absmax: one number a block of cpu::moment_block elements.
void adamw_8bit_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                             const at::Tensor& second, const at::Tensor& first_absmax, const at::Tensor& second_absmax,
                             const cpu::adamw_numbers& numbers);

/// map[code] · absmax of the block, fp32.
at::Tensor decode_moment(const at::Tensor& codes, const at::Tensor& absmax, const cpu::dynamic_map& map);

}  // namespace coho::trainer
