// A user's program: a reward model on two features learns which of two responses is preferred.
#include <cstdio>

#include <coho/loss/bradley_terry.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/version.hpp>

int main() {
  coho::toy::linear_reward reward{1, [](const coho::reward_query& query) {
                                    return Eigen::VectorXd{{static_cast<double>(query.response_tokens.size())}};
                                  }};
  coho::toy::sgd optimizer{reward};
  const std::vector<coho::token> tokens(5, 1);
  const coho::reward_query longer{
      .prompt_tokens = {}, .response_tokens = tokens, .prompt = {}, .response = {}, .principles = {}};
  const coho::reward_query shorter{.prompt_tokens = {},
                                   .response_tokens = std::span(tokens).first(2),
                                   .prompt = {},
                                   .response = {},
                                   .principles = {}};

  for (int step = 0; step < 50; ++step) {
    reward.zero_gradients();
    const coho::reward_query queries[] = {longer, shorter};
    auto [scores, pullback] = reward.forward(queries);
    const Eigen::ArrayXd preferred{{scores[0]}}, other{{scores[1]}};
    const auto loss = coho::bradley_terry_loss{}.value_and_grad({.chosen = preferred, .rejected = other});
    const double seeds[] = {loss.d_chosen[0], loss.d_rejected[0]};
    pullback(seeds);
    optimizer.step(0.1);
  }
  std::printf("coho %s: weight %.3f\n", coho::version, reward.weights[0]);
  return reward.weights[0] > 0.5 ? 0 : 1;
}
