#include <cmath>
#include <span>
#include <vector>

#include <coho/loss/bradley_terry_ties.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/preference_pair.hpp>
#include <coho/train/reward_model.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

namespace {
// r = w · (number of tokens).
auto length_reward() {
  return toy::linear_reward(1, [](const reward_query& query) {
    return Eigen::VectorXd{{static_cast<double>(query.response_tokens.size())}};
  });
}

struct two_pairs {
  std::vector<token> longer{1, 2, 3}, shorter{1};
  std::vector<preference_pair> pairs{
      {.chosen = {.response_tokens = longer}, .rejected = {.response_tokens = shorter}, .loss_margin = 0.5},
      {.chosen = {.response_tokens = longer}, .rejected = {.response_tokens = shorter}, .loss_margin = -1}};
};
double softplus_of(double x) { return std::log1p(std::exp(x)); }
}  // namespace

TEST_CASE("margins of pairs enter the reward model's loss and its step") {
  two_pairs data;
  auto model = length_reward();
  model.weights(0) = 0.25;  // differences of 0.5
  toy::sgd optimizer(model);
  reward_model_trainer trainer{model, optimizer, {.learning_rate = {.peak = 1}, .gradient_norm_clip = 0}};
  CHECK(trainer.evaluate(data.pairs).loss == Approx((softplus_of(-0.0) + softplus_of(-1.5)) / 2));
  CHECK(trainer.evaluate(data.pairs).score_difference == Approx(0.5));  // of the scores
  trainer.step(data.pairs);
  // dL/dw = −2·(σ(0) + σ(−1.5)) / 2.
  CHECK(model.weights(0) == Approx(0.25 + 0.5 + 1 / (1 + std::exp(1.5))));
}

TEST_CASE("margins of pairs that cannot be used are refused") {
  two_pairs data;
  auto model = length_reward();
  toy::sgd optimizer(model);
  reward_model_trainer trainer{model, optimizer};
  data.pairs[1].loss_margin = std::nan("");
  CHECK_THROWS_WITH(trainer.evaluate(data.pairs),
                    ContainsSubstring("the loss_margin of preference pair 1 is not finite"));
  data.pairs[1].loss_margin = 0;
  reward_model_trainer ties{model, optimizer, {}, local, bradley_terry_ties_loss{}};
  CHECK_THROWS_WITH(ties.evaluate(data.pairs), ContainsSubstring("the loss_margin of preference pair 0 is not 0"));
}
