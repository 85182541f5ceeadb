#include <cmath>
#include <span>
#include <vector>

#include <coho/optimization/gradient_step.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/toy/sgd.hpp>

#include "support/catch.hpp"

using namespace coho;

namespace {
auto model() {
  return toy::linear_reward(2, [](const reward_query&) { return Eigen::VectorXd::Ones(2).eval(); });
}
}  // namespace

TEST_CASE("a gradient step clips, applies and returns the norm before clipping") {
  auto reward = model();
  toy::sgd optimizer{reward};
  reward.gradient = Eigen::Vector2d(3, 4);
  CHECK(gradient_step("step 0", reward, optimizer, 0.5, 1.0) == Approx(5));
  CHECK(reward.weights(0) == Approx(-0.3));
  CHECK(reward.weights(1) == Approx(-0.4));
}

TEST_CASE("a gradient step that is not finite names itself and changes nothing") {
  auto reward = model();
  toy::sgd optimizer{reward};
  reward.gradient = Eigen::Vector2d(3, std::nan(""));
  CHECK_THROWS_WITH(gradient_step("step 7", reward, optimizer, 0.5, 1.0),
                    "step 7: the gradient is not finite; nothing was changed");
  CHECK(reward.weights.isZero(0));
}
