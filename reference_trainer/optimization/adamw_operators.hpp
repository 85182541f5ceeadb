#pragma once

#include <cstdint>

#include <ATen/ATen.h>

#include "kernels/cpu/adamw_kernels.hpp"

/// The steps of kernels/cpu/adamw_kernels.hpp with libtorch operators, for any device. Stochastic rounding uses the
/// same random bits; the order of multiplications and additions depends on the device, so results agree to rounding,
/// not bit for bit. All tensors are 1-d, contiguous and changed in place.
namespace coho::trainer {

/// first, second: fp32.
void adamw_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                        const at::Tensor& second, const cpu::adamw_coefficients& coefficients);

/// first, second: bfloat16. `start`: the index of the first element in the sequence of rounding_bits(key, ·).
void adamw_bfloat16_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                                 const at::Tensor& second, const cpu::adamw_coefficients& coefficients,
                                 std::uint32_t key, std::uint32_t start);

/// first, second: uint8 codes; first_absmax, second_absmax: one number per block of cpu::moment_block elements.
void adamw_8bit_by_operators(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                             const at::Tensor& second, const at::Tensor& first_absmax, const at::Tensor& second_absmax,
                             const cpu::adamw_coefficients& coefficients);

/// map[code] · absmax of the block, fp32.
at::Tensor decode_moment(const at::Tensor& codes, const at::Tensor& absmax, const cpu::dynamic_map& map);

}  // namespace coho::trainer
