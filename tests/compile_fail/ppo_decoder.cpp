// expect: coho::ppo_models: the decoder has no decode(std::span<const token>) and is not callable with it
#include <span>
#include <string>
#include <vector>

#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

struct letters {
#ifndef COHO_FAIL
  std::string decode(std::span<const coho::token> tokens) const;
#else
  std::string to_text(std::span<const coho::token> tokens) const;
#endif
};

void train(coho::toy::tabular_policy& policy, coho::toy::tabular_value& value, letters& decoder) {
  coho::toy::sgd optimizer(policy, value);
  auto reward = [](std::span<const coho::reward_query> queries) { return std::vector<double>(queries.size()); };
  coho::ppo_trainer trainer{coho::ppo_models{.policy = policy,
                                             .reference = policy,
                                             .value = value,
                                             .reward = reward,
                                             .optimizer = optimizer,
                                             .decoder = decoder}};
}
