#include <algorithm>
#include <iostream>

#include <coho/coho.hpp>

int main() {
  // Responses of up to 8 of the tokens 0 (the end), 1, 2, 3. Your own model goes here: log_probs, forward, generate.
  coho::toy::tabular_policy policy{{.vocabulary = 4}}, initial = policy;
  coho::toy::tabular_value value(4, 1);
  coho::toy::sgd optimizer(policy, value);

  // The goal: many 3s. Any callable over a batch of queries is a reward model.
  auto reward = [](std::span<const coho::reward_query> batch) {
    std::vector<double> scores;
    for (const auto& q : batch) scores.push_back(static_cast<double>(std::ranges::count(q.response_tokens, 3)));
    return scores;
  };

  coho::ppo_options options{.generation = {.max_new_tokens = 8}, .shaping = {.kl_coefficient = 0.1}};
  options.learning_rate.peak = 0.5;
  coho::ppo_trainer trainer{coho::ppo_models{policy, initial, value, reward, optimizer}, options};

  std::vector<coho::rl_prompt> prompts(64, {.tokens = {1}});
  for (std::uint64_t i = 0; i < prompts.size(); ++i) prompts[i].key = i;  // which random numbers a prompt gets
  const auto history = trainer.run([&](std::uint64_t) -> const auto& { return prompts; }, 60);
  std::cout << "reward " << history.front().reward_mean << " -> " << history.back().reward_mean << ", KL "
            << history.back().kl_sequence << '\n';
  return history.back().reward_mean > 7 ? 0 : 1;
}
