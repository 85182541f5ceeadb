#include <vector>

#include <coho/loss/cispo.hpp>
#include <coho/loss/inputs/policy_loss_inputs.hpp>
#include <coho/loss/ppo_clip.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("inputs by name give the same loss whatever the containers, kept or written in place") {
  const std::vector<double> log_probs{-1, -2}, old{-1.1, -1.9};
  const Eigen::ArrayXd advantages = array({1, -1});
  const auto weights = coho::make_token_weights(offsets{0, 2});
  const coho::policy_loss_inputs<double> kept{
      .log_probs = log_probs, .old_log_probs = old, .advantages = 2 * advantages, .weights = weights};
  const coho::ppo_clip_loss loss;
  const double expected = 0.5 * (loss(-1.0, -1.1, 2.0) + loss(-2.0, -1.9, -2.0));
  CHECK(loss(kept) == Approx(expected));
  CHECK(loss({.log_probs = log_probs, .old_log_probs = old, .advantages = array({2, -2})}) == Approx(expected));
  CHECK(coho::cispo_loss{}(kept) ==
        Approx(0.5 * (coho::cispo_loss{}(-1.0, -1.1, 2.0) + coho::cispo_loss{}(-2.0, -1.9, -2.0))));
}

TEST_CASE("an input that was left out is named") {
  const Eigen::ArrayXd two = array({1, 2});
  CHECK_THROWS_WITH(coho::ppo_clip_loss{}({.log_probs = two, .advantages = two}),
                    "ppo_clip_loss: old_log_probs has 0 elements where 2 were expected");
}

TEST_CASE("narrower constants are converted; the gradient is of the log-probs' type") {
  const std::vector<float> old{-1, -1};
  const auto result = coho::ppo_clip_loss{}.value_and_grad(
      {.log_probs = array({-1, -1}), .old_log_probs = old, .advantages = array({1, 3})});
  CHECK(result.value == Approx(-2));
  const auto narrow = coho::ppo_clip_loss{}.value_and_grad(
      coho::policy_loss_inputs<float>{.log_probs = old, .old_log_probs = old, .advantages = old});
  STATIC_REQUIRE(std::is_same_v<decltype(narrow.d_log_probs), Eigen::ArrayXf>);
}
