// expect: coho::causal_lm (1): the model has no generate(const packed<token>&, const generation_options&,
#include <span>
#include <vector>

#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

// It can be scored and trained, and cannot sample: enough for `update`, not for `step`.
struct scoring_policy {
  coho::toy::tabular_policy inner{{.vocabulary = 3}};
  auto log_probs(const coho::token_batch& batch) { return inner.log_probs(batch); }
  auto forward(const coho::token_batch& batch) { return inner.forward(batch); }
  void zero_gradients() { inner.zero_gradients(); }
  auto gradients() { return inner.gradients(); }
  auto parameters() { return inner.parameters(); }
};

void train(scoring_policy& policy, coho::toy::tabular_value& value, const coho::sampled_rollouts& rollouts) {
  coho::toy::sgd optimizer(policy, value);
  auto reward = [](std::span<const coho::reward_query> queries) { return std::vector<double>(queries.size()); };
  coho::ppo_trainer trainer{coho::ppo_models{
      .policy = policy, .reference = policy, .value = value, .reward = reward, .optimizer = optimizer}};
  trainer.update(rollouts);
#ifdef COHO_FAIL
  trainer.step({});
#endif
}
