#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <Eigen/Core>

/// The limits of the machine, measured with the threads of libtorch: yardsticks for benchmarks.
namespace coho::bench {

/// The minimum seconds of a call of f, over at least `rounds` calls and 0.2 s.
template <class F>
double fastest(const F& f, int rounds) {
  using clock = std::chrono::steady_clock;
  const auto begin = clock::now();
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < rounds || clock::now() - begin < std::chrono::milliseconds(200); ++i) {
    const auto start = clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(clock::now() - start).count());
  }
  return best;
}

/// Bytes per second of a triad a = b + s·c (two reads, one write) over arrays of `bytes` in total. Arrays that fit a
/// cache run at the speed of the cache.
inline double triad_bandwidth(std::int64_t bytes) {
  static std::map<std::int64_t, double> measured;
  double& known = measured[bytes];
  if (known > 0) return known;
  const std::int64_t count = bytes / 3 / static_cast<std::int64_t>(sizeof(float));
  std::vector<float> a(static_cast<std::size_t>(count)), b(a.size(), 1.0f), c(a.size(), 2.0f);
  const auto triad = [&] {
    at::parallel_for(0, count, 4096, [&](std::int64_t begin, std::int64_t end) {
      const auto part = [&](std::vector<float>& x) {
        return Eigen::Map<Eigen::ArrayXf>(x.data() + begin, end - begin);
      };
      part(a) = part(b) + 0.5f * part(c);
    });
  };
  return known = static_cast<double>(bytes) / fastest(triad, 10);
}

/// Floating-point operations per second of an fp32 matrix product.
inline double matmul_flops() {
  static const double measured = [] {
    constexpr std::int64_t n = 1024;
    const at::Tensor a = at::randn({n, n}), b = at::randn({n, n});
    at::Tensor c = at::empty({n, n});
    return 2.0 * n * n * n / fastest([&] { at::mm_out(c, a, b); }, 4);
  }();
  return measured;
}

}  // namespace coho::bench
