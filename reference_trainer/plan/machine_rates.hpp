#pragma once

#include <cstdint>

#include <ATen/ATen.h>

namespace coho::trainer {

/// The rates a machine reaches: the two divisors of a time plan.
struct machine_rates {
  double bandwidth = 0;  ///< bytes per second from memory larger than any cache
  double flops = 0;      ///< floating-point operations per second of a matrix product

  /// Throws `option_error` unless both are finite and above 0.
  void validate() const;
};

/// Measures a device in less than a second, with the threads that libtorch has: a triad a = b + s·c (two reads, one
/// write) over arrays that fit no cache, and a square matrix product in `type` of random numbers (a GPU is an eighth
/// faster on equal ones), each the best of several.
///
///     machine_rates rates = measure_machine(at::kCPU, at::kFloat);
machine_rates measure_machine(at::Device device, at::ScalarType type);

/// Memory bandwidth in bytes per second for each way of traversing arrays larger than any cache.
struct memory_rates {
  double read = 0;   ///< a sum: one read
  double copy = 0;   ///< a copy: one read, one write
  double triad = 0;  ///< a = b + s·c: two reads, one write
};
/// Measures them as `measure_machine` does, on arrays of `bytes` in all; 0: a size that suits the device.
memory_rates measure_memory(at::Device device, std::int64_t bytes = 0);

}  // namespace coho::trainer
