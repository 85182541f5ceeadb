#include <vector>

#include <coho/toy/linear_reward.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("the reward is linear in its features and so is its gradient") {
  toy::linear_reward reward(2, [](const reward_query& query) {
    return Eigen::VectorXd{{1.0, static_cast<double>(query.response_tokens.size())}};
  });
  using model = decltype(reward);
  STATIC_REQUIRE(reward_model<model> && differentiable_reward_model<model> && trainable<model>);
  reward.weights << 0.5, 2;
  const std::vector<token> three{1, 2, 3}, one{1};
  const std::vector<reward_query> queries{{.response_tokens = three}, {.response_tokens = one}};
  CHECK(reward.score(queries) == std::vector<double>{6.5, 2.5});
  const auto [scores, pullback] = reward.forward(queries);
  CHECK(scores == reward.score(queries));
  pullback(std::vector<double>{1, -2});
  CHECK(reward.gradient == Eigen::VectorXd{{-1, 1}});
}

TEST_CASE("features of another length are refused") {
  toy::linear_reward reward(3, [](const reward_query&) { return Eigen::VectorXd{{1.0}}; });
  CHECK_THROWS_AS(reward.score(std::vector<reward_query>(1)), argument_error);
}
