// expect: coho::ppo_models: without a reward model there is no step, only update with the rollouts' scores
#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

void train(coho::toy::tabular_policy& policy, coho::toy::tabular_value& value, const coho::sampled_rollouts& rollouts) {
  coho::toy::sgd optimizer(policy, value);
  coho::ppo_trainer trainer{coho::ppo_models{
      .policy = policy, .reference = policy, .value = value, .reward = coho::no_reward, .optimizer = optimizer}};
#ifndef COHO_FAIL
  trainer.update(rollouts);
#else
  trainer.step(rollouts.prompts);
#endif
}
