#include <limits>

#include <coho/kl/controllers.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using coho::adaptive_kl_controller, coho::fixed_kl_controller;
using coho::test::infinity, coho::test::not_a_number;

TEST_CASE("both controllers satisfy the concept") {
  STATIC_REQUIRE(coho::kl_controller<fixed_kl_controller>);
  STATIC_REQUIRE(coho::kl_controller<adaptive_kl_controller>);
}

TEST_CASE("the fixed controller does not move") {
  fixed_kl_controller controller{0.02};
  controller.update(100, 576);
  CHECK(controller.coefficient() == 0.02);
  // After a restart with another configured coefficient, the configuration wins.
  controller.restore({0.5});
  CHECK(controller.coefficient() == 0.02);
  CHECK(fixed_kl_controller{0}.coefficient() == 0);
  CHECK_THROWS_AS(fixed_kl_controller{-0.1}, coho::option_error);
  CHECK_THROWS_AS(fixed_kl_controller{not_a_number}, coho::option_error);
}

TEST_CASE("one update of the adaptive controller by hand") {
  adaptive_kl_controller controller{{.initial = 0.2, .target = 6, .horizon = 10000}};
  controller.update(6.6, 500);  // error 0.1
  CHECK(controller.coefficient() == Approx(0.2 * (1 + 0.1 * 500 / 10000)).epsilon(1e-12));
  controller.update(6, 500);
  CHECK(controller.coefficient() == Approx(0.2 * 1.005).epsilon(1e-12));
}

TEST_CASE("the error is limited to both sides") {
  adaptive_kl_controller up{{.initial = 1, .target = 6, .horizon = 1000}},
      down = up, wide{{.initial = 1, .target = 6, .horizon = 1000, .error_limit = 2}};
  up.update(1e9, 100);
  down.update(-1e9, 100);
  wide.update(12, 100);
  CHECK(up.coefficient() == Approx(1.02));
  CHECK(down.coefficient() == Approx(0.98));
  CHECK(wide.coefficient() == Approx(1.1));
}

TEST_CASE("more sequences at once than the horizon halve the coefficient at most and keep it positive") {
  adaptive_kl_controller controller{{.initial = 0.2, .horizon = 100}};
  controller.update(0, 240);  // 1 − 0.2·2.4 = 0.52: not limited yet
  CHECK(controller.coefficient() == Approx(0.2 * 0.52));
  controller.update(0, 500);  // 1 − 0.2·5 = 0
  CHECK(controller.coefficient() == Approx(0.1 * 0.52));
  controller.update(0, 1e9);
  CHECK(controller.coefficient() == Approx(0.05 * 0.52));
  for (int step = 0; step < 100; ++step) controller.update(0, 1e6);
  CHECK(controller.coefficient() > 0);
  // Upwards there is no such bound.
  adaptive_kl_controller up{{.initial = 0.2, .horizon = 100}};
  up.update(1e9, 1000);
  CHECK(up.coefficient() == Approx(0.2 * 3));
}

TEST_CASE("in closed loop the KL settles at its target") {
  // A policy whose KL falls as the penalty grows.
  adaptive_kl_controller controller{{.initial = 0.01, .target = 6, .horizon = 2000}};
  double kl = 0;
  for (int step = 0; step < 500; ++step) {
    kl = 0.6 / controller.coefficient();
    controller.update(kl, 256);
  }
  CHECK(kl == Approx(6).epsilon(1e-6));
  CHECK(controller.coefficient() == Approx(0.1).epsilon(1e-6));
}

TEST_CASE("a restored controller goes on as if nothing had happened") {
  adaptive_kl_controller one{{.initial = 0.3, .target = 4, .horizon = 500}}, other = one;
  one.update(7, 100);
  other.restore(one.save());
  CHECK(other.save() == one.save());
  one.update(3, 100);
  other.update(3, 100);
  CHECK(other.coefficient() == one.coefficient());
}

TEST_CASE("unusable options and measurements are refused") {
  for (const double bad : {0.0, -1.0, not_a_number, infinity}) {
    CHECK_THROWS_AS(adaptive_kl_controller({.initial = bad}), coho::option_error);
    CHECK_THROWS_AS(adaptive_kl_controller({.target = bad}), coho::option_error);
    CHECK_THROWS_AS(adaptive_kl_controller({.horizon = bad}), coho::option_error);
    CHECK_THROWS_AS(adaptive_kl_controller({.error_limit = bad}), coho::option_error);
    adaptive_kl_controller controller;
    CHECK_THROWS_AS(controller.restore({bad}), coho::argument_error);
  }
  adaptive_kl_controller controller{{.initial = 0.2, .horizon = 100}};
  CHECK_THROWS_AS(controller.update(not_a_number, 10), coho::argument_error);
  CHECK_THROWS_AS(controller.update(1, -1), coho::argument_error);
  CHECK_THROWS_AS(controller.update(infinity, 10), coho::argument_error);
  CHECK(controller.coefficient() == 0.2);
}

TEST_CASE("an adaptive controller refuses a number of sequences that is not finite") {
  coho::adaptive_kl_controller controller;
  CHECK_THROWS_AS(controller.update(6, std::numeric_limits<double>::infinity()), coho::argument_error);
  CHECK(controller.coefficient() == 0.2);
}
