// GAE and whitening on arrays of four times the last-level cache, against the machine's memory bandwidth: the floor is
// the time for the bytes that must be moved. Whitening must read its numbers twice: the second pass needs the mean of
// the whole first pass.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <Eigen/Core>
#include <benchmark/benchmark.h>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/whiten.hpp>

#include "machine_limits.hpp"
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace coho::bench {
namespace {

// As reported by Linux; elsewhere 32 MiB. (On a virtual machine sysconf reports the cache of the whole host.)
std::size_t last_level_cache() {
  std::size_t largest = 0;
  for (int level = 0; level < 5; ++level) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(level) + "/size");
    std::size_t size = 0;
    char unit = 0;
    if (file >> size >> unit) largest = std::max(largest, size * (unit == 'M' ? 1u << 20 : 1u << 10));
  }
  return largest > 0 ? largest : std::size_t{32} << 20;
}

template <class Number>
struct inputs {
  static constexpr std::size_t length = 1024;
  std::size_t sequences = 4 * last_level_cache() / sizeof(Number) / length;
  Eigen::Array<Number, Eigen::Dynamic, 1> rewards, values;
  std::vector<std::uint8_t> mask;
  std::vector<std::size_t> offsets;

  inputs() {
    const auto tokens = static_cast<Eigen::Index>(sequences * length);
    rewards = Eigen::Array<Number, Eigen::Dynamic, 1>::LinSpaced(tokens, Number(-1), Number(1));
    values = Number(0.5) * rewards;
    mask.assign(sequences * length, 1);
    for (std::size_t i = 0; i <= sequences; ++i) {
      offsets.push_back(i * length);
      if (i < sequences)
        std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(i * length + 900), 124, std::uint8_t{0});
    }
  }
  static const inputs& get() {
    static const inputs made;
    return made;
  }
};

template <class Number>
void measure(benchmark::State& state, double bytes_per_token, auto work) {
  const inputs<Number>& in = inputs<Number>::get();
  const double bytes = bytes_per_token * static_cast<double>(in.offsets.back());
  for (auto _ : state) {
    const auto result = work(in);
    const void* escaped = &result;
    benchmark::DoNotOptimize(escaped);
    benchmark::ClobberMemory();
  }
  const double bandwidth = triad_bandwidth(static_cast<std::int64_t>(12 * last_level_cache()));
  state.counters["floor"] = bytes / bandwidth;
  state.counters["bytes/s"] = benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["triad bytes/s"] = bandwidth;
}

template <class Number>
void add(const std::string& number) {
  const auto one = [](const std::string& name, auto run) {
    benchmark::RegisterBenchmark(name.c_str(), run)
        ->MinTime(0.05)
        ->Repetitions(9)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  const double size = sizeof(Number);
  one("gae beyond caches, " + number + "/coho", [=](benchmark::State& state) {
    measure<Number>(state, 4 * size, [] [[gnu::noinline]] (const inputs<Number>& in) {
      return gae(advantage_inputs<Number>{.rewards = in.rewards, .values = in.values, .offsets = in.offsets},
                 {.gamma = 0.99, .lambda = 0.95});
    });
  });
  one("whiten beyond caches, " + number + "/coho", [=](benchmark::State& state) {
    measure<Number>(state, 3 * size + 2,
                    [] [[gnu::noinline]] (const inputs<Number>& in) { return whiten(in.rewards, in.mask); });
  });
}

[[maybe_unused]] const bool registered = [] {
#ifdef __GLIBC__
  // Keeps results in the process; otherwise the benchmark would measure fresh pages from the system.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 2147483647);
#endif
  add<double>("double");
  add<float>("float");
  return true;
}();

}  // namespace
}  // namespace coho::bench
