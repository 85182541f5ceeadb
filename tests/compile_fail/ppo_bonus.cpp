// expect: coho::ppo_models: the bonus is not callable with a const reward_query& or returns no number
#include <span>
#include <vector>

#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

void train(coho::toy::tabular_policy& policy, coho::toy::tabular_value& value) {
  coho::toy::sgd optimizer(policy, value);
  auto reward = [](std::span<const coho::reward_query> queries) { return std::vector<double>(queries.size()); };
#ifndef COHO_FAIL
  auto bonus = [](const coho::reward_query& query) { return query.finished ? 0.0 : -1.0; };
#else
  auto bonus = [](std::span<const coho::token> response) { return -0.1 * double(response.size()); };
#endif
  coho::ppo_trainer trainer{coho::ppo_models{
      .policy = policy, .reference = policy, .value = value, .reward = reward, .optimizer = optimizer, .bonus = bonus}};
}
