#include "observe/process_usage.hpp"

#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("the peak of memory follows what is touched") {
  const auto before = peak_rss_bytes();
  CHECK(before > 1'000'000);
  CHECK(current_rss_bytes() > 1'000'000);
  {
    std::vector<char> block(200'000'000, 1);
    CHECK(current_rss_bytes() > 200'000'000);
    CHECK(block[block.size() / 2] == 1);
  }
  CHECK(peak_rss_bytes() >= 200'000'000);
}

TEST_CASE("a machine has more memory than a process uses") {
  CHECK(physical_memory_bytes() > peak_rss_bytes());
  CHECK(physical_memory_bytes() % 4096 == 0);
}

TEST_CASE("a stopwatch counts seconds") {
  stopwatch watch;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(watch.seconds() >= 0.02);
  CHECK(watch.seconds() < 60);
  watch.restart();
  CHECK(watch.seconds() < 10);
}
