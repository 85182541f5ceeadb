#pragma once

#include <chrono>
#include <cstdint>

namespace coho::trainer {

/// The peak memory of this process (resident set), in bytes; 0 if the system does not say.
std::uint64_t peak_rss_bytes() noexcept;
/// Its current memory, in bytes; 0 if the system does not say.
std::uint64_t current_rss_bytes() noexcept;

/// The memory that the machine has, in bytes; 0 if the system does not say.
std::uint64_t physical_memory_bytes() noexcept;

/// Seconds since its construction or the last `restart`.
class stopwatch {
 public:
  using clock = std::chrono::steady_clock;
  double seconds() const noexcept { return std::chrono::duration<double>(clock::now() - start_).count(); }
  void restart() noexcept { start_ = clock::now(); }

 private:
  clock::time_point start_ = clock::now();
};

}  // namespace coho::trainer
