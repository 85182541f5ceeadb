// expect: coho::sampler (1): the sampler has no generate(const packed<token>&, const generation_options&,
#include <span>
#include <vector>

#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

struct engine {
#ifndef COHO_FAIL
  coho::generation generate(const coho::packed<coho::token>&, const coho::generation_options&, std::span<coho::rng>);
#endif
};

void train(coho::toy::tabular_policy& policy, coho::toy::tabular_value& value, engine& sampler) {
  coho::toy::sgd optimizer(policy, value);
  auto reward = [](std::span<const coho::reward_query> queries) { return std::vector<double>(queries.size()); };
  coho::ppo_trainer trainer{coho::ppo_models{.policy = policy,
                                             .reference = policy,
                                             .value = value,
                                             .reward = reward,
                                             .optimizer = optimizer,
                                             .sampler = sampler}};
}
