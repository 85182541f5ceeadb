#pragma once

#include <cstdint>

#include <ATen/ATen.h>

#include <coho/rng.hpp>

namespace coho::trainer {

/// Drops elements of x with probability p and scales the rest, in place: x_i ← 0 · x_i or x_i / (1 − p) (Srivastava et
/// al. 2014).
///
/// Element i is dropped if number i of `random`'s stream (Philox 4x32-10; i mod 4 of block ⌊i/4⌋) is below p · 2³²: the
/// selection depends only on seed, stream and index, whatever the device, the type and the number of threads. x is
/// contiguous and of a floating type. Throws argument_error, option_error unless 0 ≤ p < 1.
///
///     at::Tensor kept = x.clone();
///     drop_elements(kept, 0.1, rng{seed, layer});
void drop_elements(const at::Tensor& x, double probability, rng random);

/// The same with libtorch's operators on 64-bit integers, on any device: the implementation of `drop_elements` on every
/// device except the CPU. Elements are processed 4 · `piece` at a time, with 49 · `piece` bytes of temporaries.
void drop_elements_by_operators(const at::Tensor& x, double probability, rng random,
                                std::int64_t piece = std::int64_t{1} << 20);

}  // namespace coho::trainer
