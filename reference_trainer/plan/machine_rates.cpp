#include "plan/machine_rates.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }

// Work queued on another device is done once a number computed after it has come back.
void wait_for_device(const at::Tensor& result) {
  if (!result.device().is_cpu()) static_cast<void>(result.view(-1)[0].item<float>());
}

// The fewest seconds of one call, tried for `budget` seconds and at least twice. Calls so short that waiting for the
// device would show are timed several in a row: as many as take 2 ms, at most 64.
template <class F>
double measure_shortest_time(const F& f, const at::Tensor& result, double budget) {
  const auto begin = clock::now();
  f();
  wait_for_device(result);
  const int repeats = std::clamp(static_cast<int>(0.002 / std::max(seconds_since(begin), 1e-6)), 1, 64);
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 2 || seconds_since(begin) < budget; ++i) {
    const auto start = clock::now();
    for (int k = 0; k < repeats; ++k) f();
    wait_for_device(result);
    best = std::min(best, seconds_since(start) / repeats);
  }
  return best;
}

// Numbers of each of three fp32 arrays that together fit no cache: `bytes` in all, or 144 MiB on a CPU and 1.5 GiB on a
// GPU.
std::int64_t array_length(at::Device device, std::int64_t bytes) {
  if (bytes > 0) return std::max<std::int64_t>(1, bytes / 12);
  return device.is_cpu() ? std::int64_t{12} << 20 : std::int64_t{128} << 20;
}

// Bytes per second of a = b + c / 2: 12 bytes per element.
double measure_triad(const at::TensorOptions& options, std::int64_t count) {
  const at::Tensor b = at::ones({count}, options), c = at::ones({count}, options);
  at::Tensor a = at::empty({count}, options);
  return 12.0 * static_cast<double>(count) / measure_shortest_time([&] { at::add_out(a, b, c, 0.5); }, a, 0.12);
}

// FLOP/s of the fastest square product.
double measure_product(const at::TensorOptions& options) {
  const std::int64_t largest = options.device().is_cpu() ? 1024 : 8192;
  double best = 0;
  // Larger ones are faster, up to where the next, of eight times the work, would take longer than 50 ms.
  for (std::int64_t n = 256; n <= largest; n *= 2) {
    // Equal numbers switch fewer transistors: a GPU that is limited by its power multiplies them faster than any
    // others.
    const at::Tensor a = at::randn({n, n}, options), b = at::randn({n, n}, options);
    at::Tensor c = at::empty({n, n}, options);
    const double seconds = measure_shortest_time([&] { at::mm_out(c, a, b); }, c, 0.03), size = static_cast<double>(n);
    best = std::max(best, 2.0 * size * size * size / seconds);
    if (seconds * 8 > 0.05) break;
  }
  return best;
}

}  // namespace

void machine_rates::validate() const {
  require_option(std::isfinite(bandwidth) && bandwidth > 0, "bandwidth", bandwidth, "finite and above 0");
  require_option(std::isfinite(flops) && flops > 0, "flops", flops, "finite and above 0");
}

machine_rates measure_machine(at::Device device, at::ScalarType type) {
  const at::NoGradGuard no_gradient;
  const auto options = at::TensorOptions().device(device);
  return {.bandwidth = measure_triad(options.dtype(at::kFloat), array_length(device, 0)),
          .flops = measure_product(options.dtype(type))};
}

memory_rates measure_memory(at::Device device, std::int64_t bytes) {
  const at::NoGradGuard no_gradient;
  const auto options = at::TensorOptions().device(device).dtype(at::kFloat);
  const std::int64_t count = array_length(device, bytes);
  const double moved = 4.0 * static_cast<double>(count);
  memory_rates out{.triad = measure_triad(options, count)};
  const at::Tensor from = at::ones({count}, options);
  at::Tensor to = at::empty({count}, options), sum;
  out.copy = 2 * moved / measure_shortest_time([&] { to.copy_(from); }, to, 0.12);
  sum = from.sum();
  out.read = moved / measure_shortest_time([&] { sum = from.sum(); }, from, 0.12);
  return out;
}

}  // namespace coho::trainer
