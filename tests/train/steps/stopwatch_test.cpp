#include <chrono>
#include <thread>

#include <coho/train/steps/stopwatch.hpp>

#include "support/catch.hpp"

TEST_CASE("laps of a stopwatch add up to the time that passed") {
  using clock = std::chrono::steady_clock;
  const auto before = clock::now();
  coho::detail::stopwatch watch;
  const auto start = clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double first = watch.lap();
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const auto stop = clock::now();
  const double second = watch.lap();
  const auto after = clock::now();
  CHECK(first >= 0.019);
  CHECK(second >= 0.009);
  const double slack = 1e-3;  // two clocks
  CHECK(first + second >= std::chrono::duration<double>(stop - start).count() - slack);
  CHECK(first + second <= std::chrono::duration<double>(after - before).count() + slack);
}
