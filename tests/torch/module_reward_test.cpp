#include <vector>

#include <coho/require.hpp>
#include <coho/torch/module_reward.hpp>
#include <coho/train/reward_model.hpp>

#include "support/catch.hpp"
#include "support/table_module.hpp"

using namespace coho;
using coho::test::table_module;

static_assert(require_reward_model<module_reward<table_module>>());
static_assert(require_differentiable_reward_model<module_reward<table_module>>());
static_assert(trainable<module_reward<table_module>>);

namespace {
const std::vector<token> prompt{1, 2}, two{3, 3}, three{4, 1, 4}, none;
}

TEST_CASE("a module's score is that at the last token") {
  table_module module(5, 1, 3);
  module_reward reward{module};
  const std::vector<reward_query> queries{{.prompt_tokens = prompt, .response_tokens = two},
                                          {.prompt_tokens = prompt, .response_tokens = three},
                                          {.prompt_tokens = prompt}};
  const auto scores = reward.score(queries);
  CHECK(scores == std::vector<double>{module.number(3, 0), module.number(4, 0), module.number(2, 0)});
  module.running = true;  // then it is the sum over prompt and response, whatever pads the rows
  const double both = module.number(1, 0) + module.number(2, 0);
  const auto sums = reward.score(queries);
  CHECK(sums[0] == Approx(both + 2 * module.number(3, 0)));
  CHECK(sums[2] == Approx(both));
  CHECK(module_reward(module, 4).score(queries) == sums);

  auto [again, pullback] = reward.forward(queries);
  CHECK(again == sums);
  const std::vector<double> seed{1, 10, 100};
  pullback(seed);
  CHECK(module.gradient(1, 0) == 1 + 20 + 100);
  CHECK(module.gradient(2, 0) == 111);
  CHECK(module.gradient(3, 0) == 2);
  CHECK(module.gradient(4, 0) == 20);
  CHECK(module.gradient(0, 0) == 0);
  CHECK(reward.score({}).empty());
  CHECK_THROWS_WITH(reward.score(std::vector<reward_query>{{.response_tokens = none}}),
                    "module_reward: query 0 has no tokens");
}

TEST_CASE("a module learns preferences under the reward model's driver") {
  table_module module(5, 1, 5);
  module_reward reward{module};
  struct {
    at::Tensor table;
    void step(double rate) {
      const at::NoGradGuard no_gradient;
      table.sub_(table.grad(), rate);
    }
  } descent{module.table};
  reward_model_trainer trainer{reward, descent, {.learning_rate = {.peak = 1}, .epochs = 30}};
  std::vector<preference_pair> pairs(1);
  auto& [chosen, rejected, target, margin] = pairs[0];
  chosen = {.prompt_tokens = prompt, .response_tokens = two};
  rejected = {.prompt_tokens = prompt, .response_tokens = three};
  module.table.detach().index_put_({3}, -1);
  CHECK(trainer.evaluate(pairs).accuracy == 0);
  trainer.fit(pairs);
  CHECK(trainer.evaluate(pairs).accuracy == 1);
}
