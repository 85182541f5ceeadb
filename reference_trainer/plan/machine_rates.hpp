#pragma once

#include <ATen/ATen.h>

namespace coho::trainer {

/// What a machine reaches: the two numbers that a time plan divides by.
struct machine_rates {
  double bandwidth = 0;  ///< bytes a second of memory that fits no cache
  double flops = 0;      ///< floating-point operations a second of a matrix product

  /// Throws `option_error` unless both are finite and above 0.
  void validate() const;
};

/// Measures a device in less than a second, with the threads that libtorch has: a triad a = b + s·c (two reads, one
/// write) over arrays that fit no cache, and a square matrix product in `type`, each the best of several.
///
///     machine_rates rates = measure_machine(at::kCPU, at::kFloat);
machine_rates measure_machine(at::Device device, at::ScalarType type);

}  // namespace coho::trainer
