#include <coho/optimization/learning_rate_schedule.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("constant, linear and cosine by hand") {
  const learning_rate_schedule constant{{.peak = 0.5}};
  CHECK(constant(0) == 0.5);
  CHECK(constant(1000000) == 0.5);

  const learning_rate_schedule linear{
      {.peak = 1, .kind = schedule_kind::linear, .total_steps = 10, .floor_fraction = 0.2}};
  CHECK(linear(0) == 1);
  CHECK(linear(5) == Approx(0.6));
  CHECK(linear(10) == Approx(0.2));
  CHECK(linear(99) == Approx(0.2));

  const learning_rate_schedule cosine{{.peak = 2e-5, .kind = schedule_kind::cosine, .total_steps = 200}};
  CHECK(cosine(0) == 2e-5);
  CHECK(cosine(50) == Approx(2e-5 * (1 + std::sqrt(0.5)) / 2));
  CHECK(cosine(100) == Approx(1e-5));
  CHECK(cosine(200) == Approx(0).margin(1e-20));
}

TEST_CASE("warm-up rises to the peak and is never 0") {
  const learning_rate_schedule rate{{.peak = 1, .kind = schedule_kind::cosine, .warmup_steps = 4, .total_steps = 14}};
  CHECK(rate(0) == Approx(0.2));
  CHECK(rate(3) == Approx(0.8));
  CHECK(rate(4) == 1);
  CHECK(rate(9) == Approx(0.5));
  for (std::uint64_t s = 0; s < 4; ++s) CHECK(rate(s) < rate(s + 1));
  for (std::uint64_t s = 4; s < 14; ++s) CHECK(rate(s) > rate(s + 1));
}

TEST_CASE("options out of range are refused") {
  using schedule = learning_rate_schedule;
  CHECK_THROWS_AS(schedule({.peak = -1}), option_error);
  CHECK_THROWS_AS(schedule({.peak = std::nan("")}), option_error);
  CHECK_THROWS_AS(schedule({.floor_fraction = 1.5}), option_error);
  CHECK_THROWS_AS(schedule({.kind = schedule_kind::linear}), option_error);
  CHECK_THROWS_AS(schedule({.kind = schedule_kind::cosine, .warmup_steps = 5, .total_steps = 5}), option_error);
}
