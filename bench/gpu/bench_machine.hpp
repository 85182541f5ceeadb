#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

namespace coho::bench {

/// The device to measure and the time allowed.
struct bench_machine {
  at::Device device = at::kCPU;
  at::ScalarType compute = at::kBFloat16;
  bool small = false;         ///< tiny shapes, which test the program and say nothing about a machine
  double sample_seconds = 0;  ///< time limit of one measurement, once it has a few samples

  bool cuda() const { return device.is_cuda(); }
  at::TensorOptions options() const { return at::TensorOptions().device(device).dtype(compute); }
  /// Waits until the device has finished its work.
  void synchronize() const;
};

/// Bytes held, and the peak since `forget_peak`: of libtorch's tensor allocator on a GPU, of the whole process on the
/// CPU.
struct held_memory {
  std::int64_t now = 0, peak = 0;
};
/// Whether this libtorch reports them (its CUDA allocator does from version 2.10 on).
bool memory_is_known(const bench_machine& machine);
held_memory memory_of(const bench_machine& machine);
/// Resets the peak to the current amount.
void forget_peak(const bench_machine& machine);

using clock = std::chrono::steady_clock;
inline double since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }
double median(std::vector<double> values);

struct timing {
  double median = 0, least = 0;  ///< seconds per call
  int samples = 0, calls = 0;    ///< calls per sample, in a row without waiting
};

/// Times call(i) for i = 0, 1, …, so that a call can use different tensors than the one before, which are still in a
/// cache. The first two calls are discarded.
template <class Call>
timing time_calls(const bench_machine& machine, const Call& call) {
  constexpr double shortest_sample = 0.005;
  constexpr int least_samples = 5, most_samples = 50, most_calls = 64;
  int i = 0;
  call(i++);
  call(i++);
  machine.synchronize();
  auto start = clock::now();
  call(i++);
  machine.synchronize();
  const int needed = static_cast<int>(shortest_sample / std::max(since(start), 1e-7)) + 1;
  timing out{.calls = machine.small ? 1 : std::clamp(needed, 1, most_calls)};
  std::vector<double> seconds;
  const auto begin = clock::now();
  while (out.samples < least_samples || (out.samples < most_samples && since(begin) < machine.sample_seconds)) {
    start = clock::now();
    for (int k = 0; k < out.calls; ++k) call(i++);
    machine.synchronize();
    seconds.push_back(since(start) / out.calls);
    ++out.samples;
  }
  out.median = median(seconds);
  out.least = *std::min_element(seconds.begin(), seconds.end());
  return out;
}

}  // namespace coho::bench
