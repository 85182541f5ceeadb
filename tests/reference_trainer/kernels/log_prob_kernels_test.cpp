#include "kernels/log_prob_kernels.hpp"

#include "support/catch.hpp"

TEST_CASE("log_prob_kernels: the CPU takes the library's own loops") {
  CHECK(coho::trainer::find_log_prob_kernels(at::kCPU) == nullptr);
}
