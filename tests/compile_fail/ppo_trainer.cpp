// expect: coho::value_model (1): the model has no values(const token_batch&)
#include <span>
#include <vector>

#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

void train(coho::toy::tabular_policy& policy, coho::toy::tabular_policy& initial, coho::toy::tabular_value& value) {
  coho::toy::sgd optimizer(policy, value);
  auto reward = [](std::span<const coho::reward_query> queries) { return std::vector<double>(queries.size()); };
  coho::ppo_trainer trainer{coho::ppo_models{.policy = policy,
                                             .reference = initial,
#ifndef COHO_FAIL
                                             .value = value,
#else
                                             .value = initial,
#endif
                                             .reward = reward,
                                             .optimizer = optimizer}};
  trainer.step({});
}
