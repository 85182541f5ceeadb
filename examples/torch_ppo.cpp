// PPO of a libtorch module against a reward model that is also a libtorch module, with the library's drivers. The
// modules do not depend on coho: forward takes tokens [B, T] and returns logits, values or scores of each position.
#include <cstdint>
#include <cstdio>
#include <vector>

#include <torch/torch.h>

#include <coho/torch/module_optimizer.hpp>
#include <coho/torch/module_policy.hpp>
#include <coho/torch/module_reward.hpp>
#include <coho/torch/module_value.hpp>
#include <coho/train/ppo.hpp>
#include <coho/train/reward_model.hpp>

constexpr std::int64_t vocabulary = 5;

// A small GRU with any number of outputs at each position. In double, so that the output is the same on every machine.
struct network : torch::nn::Module {
  torch::nn::Embedding embedding = register_module("embedding", torch::nn::Embedding(vocabulary, 16));
  torch::nn::GRU gru = register_module("gru", torch::nn::GRU(torch::nn::GRUOptions(16, 16).batch_first(true)));
  torch::nn::Linear head{nullptr};

  network(std::int64_t outputs, std::uint64_t seed) : head(register_module("head", torch::nn::Linear(16, outputs))) {
    to(torch::kDouble);
    torch::NoGradGuard none;
    coho::rng random(seed);  // torch's own initialisation draws different numbers in different versions
    for (auto& p : parameters()) {
      for (std::int64_t i = 0; i < p.numel(); ++i) p.view(-1)[i] = 0.3 * random.normal();
    }
  }
  at::Tensor forward(const at::Tensor& tokens) {
    return head->forward(std::get<0>(gru->forward(embedding->forward(tokens))));
  }
};

// The goal: each token is one more than the token before it, and 0, the end token, comes after 4.
double right_steps(const std::vector<coho::token>& response) {
  double right = 0;
  coho::token before = 1;  // the prompt
  for (const coho::token t : response) {
    right += t == (before + 1) % vocabulary ? 1 : 0;
    before = t;
  }
  return right;
}

int main() {
  torch::set_num_threads(1);
  network policy_net(vocabulary, 1), initial_net(vocabulary, 1), value_net(1, 2), reward_net(1, 3);
  coho::module_policy policy{policy_net, {.end = 0}}, initial{initial_net, {.end = 0}};
  coho::module_value value{value_net};
  coho::module_reward reward{reward_net};

  std::vector<coho::rl_prompt> prompts(64, {.tokens = {1}});
  for (std::uint64_t i = 0; i < prompts.size(); ++i) prompts[i].key = i;

  // ---- The reward model is trained on pairs of the policy's own responses.
  const coho::generation_options generation{.max_new_tokens = 6};
  const auto drawn = coho::sample_rollouts(policy, prompts, generation, /* seed */ 7, /* step */ 0);
  const std::vector<coho::token> prompt{1};
  std::vector<std::vector<coho::token>> responses;
  for (std::size_t i = 0; i < drawn.size(); ++i)
    responses.emplace_back(drawn.responses[i].begin(), drawn.responses[i].end());
  std::vector<coho::preference_pair> pairs;
  for (std::size_t i = 0; i < responses.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      const double difference = right_steps(responses[i]) - right_steps(responses[k]);
      if (difference == 0) continue;
      const auto &better = difference > 0 ? responses[i] : responses[k],
                 &worse = difference > 0 ? responses[k] : responses[i];
      pairs.push_back(
          {{.prompt_tokens = prompt, .response_tokens = better}, {.prompt_tokens = prompt, .response_tokens = worse}});
    }
  }
  torch::optim::Adam reward_adam(reward_net.parameters());
  coho::module_optimizer reward_optimizer{reward_adam};
  coho::reward_model_trainer learn_reward{reward, reward_optimizer, {.learning_rate = {.peak = 0.01}, .epochs = 3}};
  learn_reward.fit(pairs);
  std::printf("reward model: right on %.2f of %zu pairs\n", learn_reward.evaluate(pairs).accuracy, pairs.size());

  // ---- PPO. One optimizer holds the parameters of policy and value model.
  auto parameters = policy_net.parameters();
  for (const auto& p : value_net.parameters()) parameters.push_back(p);
  torch::optim::Adam adam(parameters);
  coho::module_optimizer optimizer{adam};
  coho::ppo_options options{.generation = generation, .shaping = {.kl_coefficient = 0.05}};
  options.minibatch_size = 32;
  options.learning_rate.peak = 0.01;
  coho::ppo_trainer trainer{
      coho::ppo_models{
          .policy = policy, .reference = initial, .value = value, .reward = reward, .optimizer = optimizer},
      options};
  const auto mean_steps = [&] {
    const auto rollouts = coho::sample_rollouts(policy, prompts, generation, 8, 0);
    double sum = 0;
    for (std::size_t i = 0; i < rollouts.size(); ++i)
      sum += right_steps({rollouts.responses[i].begin(), rollouts.responses[i].end()});
    return sum / static_cast<double>(rollouts.size());
  };
  std::printf("right steps before: %.2f\n", mean_steps());
  const auto history = trainer.run([&](std::uint64_t) -> const auto& { return prompts; }, 20);
  for (const std::size_t step : {0U, 9U, 19U}) {
    const auto& s = history[step];
    std::printf("step %2zu: reward %.2f, KL %.2f, length %.1f\n", step, s.reward_mean, s.kl_sequence, s.length_mean);
  }
  std::printf("right steps after: %.2f\n", mean_steps());
  return mean_steps() > 3 ? 0 : 1;
}
