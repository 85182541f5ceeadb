#include "bench_machine.hpp"

#include <fstream>

#include <torch/cuda.h>
#include <torch/version.h>

#include "observe/process_usage.hpp"

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 10)
#define COHO_BENCH_ALLOCATOR_TELLS
#include <c10/core/CachingDeviceAllocator.h>
#endif

namespace coho::bench {

void bench_machine::synchronize() const {
  if (cuda()) torch::cuda::synchronize(device.index());
}

bool memory_is_known(const bench_machine& machine) {
#ifdef COHO_BENCH_ALLOCATOR_TELLS
  // Another allocator may be plugged in, about which nothing is known.
  static const bool known = [&] {
    if (!machine.cuda()) return true;
    try {
      c10::getDeviceAllocator(machine.device.type())->getDeviceStats(machine.device.index());
      return true;
    } catch (const c10::Error&) {
      return false;
    }
  }();
  return known;
#else
  return !machine.cuda();
#endif
}

held_memory memory_of(const bench_machine& machine) {
#ifdef COHO_BENCH_ALLOCATOR_TELLS
  if (machine.cuda() && memory_is_known(machine)) {
    const auto stats = c10::getDeviceAllocator(machine.device.type())->getDeviceStats(machine.device.index());
    const auto& bytes = stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
    return {.now = bytes.current, .peak = bytes.peak};
  }
#endif
  if (machine.cuda()) return {};
  return {.now = static_cast<std::int64_t>(trainer::current_rss_bytes()),
          .peak = static_cast<std::int64_t>(trainer::peak_rss_bytes())};
}

void forget_peak(const bench_machine& machine) {
  machine.synchronize();
#ifdef COHO_BENCH_ALLOCATOR_TELLS
  if (machine.cuda() && memory_is_known(machine))
    c10::getDeviceAllocator(machine.device.type())->resetPeakStats(machine.device.index());
#endif
  if (!machine.cuda()) std::ofstream("/proc/self/clear_refs") << 5;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace coho::bench
