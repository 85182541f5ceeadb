#pragma once

#include <ctime>
#include <utility>

namespace coho::inline v0_1::detail {

/// Seconds since the last lap, by a monotonic clock where there is one. (<chrono> costs each file that includes
/// a driver a tenth of a second.)
class stopwatch {
 public:
  /// The seconds since the last call, or since construction.
  double lap() noexcept {
    const double now = read();
    return now - std::exchange(last_, now);
  }

 private:
  // Seconds since some fixed moment.
  static double read() noexcept {
    std::timespec now{};
#ifdef CLOCK_MONOTONIC
    clock_gettime(CLOCK_MONOTONIC, &now);
#else
    static_cast<void>(std::timespec_get(&now, TIME_UTC));
#endif
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }

  double last_ = read();
};

}  // namespace coho::inline v0_1::detail
