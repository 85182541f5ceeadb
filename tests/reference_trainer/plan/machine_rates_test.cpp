#include "plan/machine_rates.hpp"

#include <coho/error.hpp>

#include "observe/process_usage.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("machine rates: bandwidth and products of this machine are of a plausible size, and quickly known") {
  const stopwatch watch;
  const machine_rates rates = measure_machine(at::kCPU, at::kFloat);
  const double seconds = watch.seconds();
  rates.validate();
  CHECK(rates.bandwidth > 1e8);
  CHECK(rates.bandwidth < 1e13);
  CHECK(rates.flops > 1e8);
  CHECK(rates.flops < 1e16);
  CHECK(seconds < 5);  // a second on a machine that does nothing else
}

TEST_CASE("machine rates: numbers that cannot be rates are refused") {
  CHECK_THROWS_AS((machine_rates{.bandwidth = 1, .flops = 0}.validate()), coho::option_error);
  CHECK_THROWS_AS((machine_rates{.bandwidth = 1.0 / 0.0, .flops = 1}.validate()), coho::option_error);
}

TEST_CASE("machine rates: memory is read, copied and streamed at plausible rates") {
  const memory_rates rates = measure_memory(at::kCPU, 3 << 20);
  for (const double rate : {rates.read, rates.copy, rates.triad}) {
    CHECK(rate > 1e8);
    CHECK(rate < 1e13);
  }
}
