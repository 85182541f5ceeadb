#include "evaluation/ppo_ending.hpp"

#include <coho/train/ppo.hpp>

#include "support/catch.hpp"
#include "support/stage_runs.hpp"

using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("ppo ending: after the last step, or when the policy is too far away; 0 switches that off") {
  const config options(settings{});
  stage_context context("test", options, false, false, true);
  metrics_log log({});
  const auto never = [](std::uint64_t) { FAIL("there is no evaluation to be interrupted after"); };
  ppo_ending ending({.steps = 5, .stop_kl = 2}, nullptr, log, context, never);
  CHECK_FALSE(ending.evaluate_and_check_stop(0, 0));
  CHECK_FALSE(ending.evaluate_and_check_stop(4, 2));
  CHECK(ending.evaluate_and_check_stop(4, 2.1));
  CHECK(ending.evaluate_and_check_stop(5, 0));
  ppo_ending far({.steps = 5}, nullptr, log, context, never);
  CHECK_FALSE(far.evaluate_and_check_stop(4, 1e6));

  // As a callback it is told after step 3, the fourth.
  CHECK_FALSE(ending.stop_requested());
  ending.on_step_end({.step = 3, .kl_sequence = 0.5});
  CHECK_FALSE(ending.stop_requested());
  ending.on_step_end({.step = 3, .kl_sequence = 2.5});
  CHECK(ending.stop_requested());
}
