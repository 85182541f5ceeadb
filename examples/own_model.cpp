// A custom model in the library's PPO driver, without autograd: the members that coho::ppo_trainer requires of a
// policy, in twenty lines. (eigen_trainer.cpp is the opposite: a custom loop over the library's pieces.)
#include <array>
#include <cmath>
#include <iostream>
#include <span>
#include <utility>
#include <vector>

#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

// One softmax for every position: each response is a single token.
struct one_token_policy {
  Eigen::ArrayXd logits = Eigen::ArrayXd::Zero(4), gradient = Eigen::ArrayXd::Zero(4);
  Eigen::ArrayXd probabilities() const { return logits.exp() / logits.exp().sum(); }
  Eigen::ArrayXd log_probs(const coho::token_batch& batch) const {
    const Eigen::ArrayXd log_p = probabilities().log();
    return Eigen::ArrayXd::NullaryExpr(static_cast<Eigen::Index>(batch.responses.total()), [&](Eigen::Index t) {
      return log_p(batch.responses.values[static_cast<std::size_t>(t)]);
    });
  }
  struct output {
    Eigen::ArrayXd log_probs;
  };
  auto forward(const coho::token_batch& batch) {
    return std::pair(output{log_probs(batch)}, [this, tokens = batch.responses.values](coho::policy_gradient d) {
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        gradient -= d.log_probs[t] * probabilities();
        gradient(tokens[t]) += d.log_probs[t];
      }
    });
  }
  coho::generation generate(const coho::packed<coho::token>& prompts, const coho::generation_options&,
                            std::span<coho::rng> streams) {
    coho::generation out;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      double u = streams[i].uniform();
      coho::token y = 0;
      while (y < 3 && u >= probabilities()(y)) u -= probabilities()(y++);
      out.responses.push_back({y});
      out.log_probs.push_back({static_cast<float>(std::log(probabilities()(y)))});
      out.finished.push_back(1);
    }
    return out;
  }
  void zero_gradients() { gradient.setZero(); }
  std::array<std::span<double>, 1> gradients() { return {std::span(gradient.data(), 4)}; }
  std::array<std::span<double>, 1> parameters() { return {std::span(logits.data(), 4)}; }
};

int main() {
  one_token_policy policy, initial;
  coho::toy::tabular_value value(4, 1);
  coho::toy::sgd optimizer(policy, value);
  auto reward = [](std::span<const coho::reward_query> queries) {
    std::vector<double> out;
    for (const auto& query : queries) out.push_back(query.response_tokens[0]);  // token 3 is the best
    return out;
  };
  coho::ppo_options options{.generation = {.max_new_tokens = 1}, .shaping = {.kl_coefficient = 1.0}};
  options.learning_rate = {.peak = 0.5, .kind = coho::schedule_kind::linear, .total_steps = 100};
  options.whiten_advantages = false;
  options.value_coefficient = 1;
  coho::ppo_trainer trainer{
      coho::ppo_models{
          .policy = policy, .reference = initial, .value = value, .reward = reward, .optimizer = optimizer},
      options};

  std::vector<coho::rl_prompt> prompts;
  for (std::uint64_t i = 0; i < 64; ++i) prompts.push_back({.tokens = {0}, .key = i});
  const auto history = trainer.run([&](std::uint64_t) -> const auto& { return prompts; }, 100);

  const Eigen::ArrayXd best = Eigen::ArrayXd{{0, 1, 2, 3}}.exp() / Eigen::ArrayXd{{0, 1, 2, 3}}.exp().sum();
  std::cout << "reward " << history.front().reward_mean << " -> " << history.back().reward_mean << ", KL "
            << history.back().kl_sequence << "\npolicy  " << policy.probabilities().transpose() << "\noptimum "
            << best.transpose() << '\n';
  return (policy.probabilities() - best).abs().maxCoeff() < 0.02 ? 0 : 1;
}
