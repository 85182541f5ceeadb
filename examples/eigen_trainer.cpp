// A complete trainer that uses only Eigen: no framework, no autograd, no driver. The loop and the models are yours;
// coho provides the pieces of PPO in between, each of which takes and returns plain arrays.
#include <array>
#include <cmath>
#include <cstdio>
#include <span>
#include <vector>

#include <Eigen/Core>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/whiten.hpp>
#include <coho/eigen/as_array.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/optimization/gradient_clipping.hpp>
#include <coho/packed.hpp>
#include <coho/reward/shaping.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/token_sampling.hpp>

constexpr int vocabulary = 5, longest = 6;  // token 0 ends a response

// Parameters with their gradients. coho::clip_gradient_norm needs only these two members of a model.
struct parameters {
  Eigen::MatrixXd values, gradient = Eigen::MatrixXd::Zero(values.rows(), values.cols());
  void zero_gradients() { gradient.setZero(); }
  std::array<std::span<double>, 1> gradients() {
    return {std::span(gradient.data(), static_cast<std::size_t>(gradient.size()))};
  }
  void descend(double learning_rate) { values -= learning_rate * gradient; }
};

// The context of a response token: the token before it and its position in the response.
struct situation {
  coho::token before;
  int place;
};

// The policy: a softmax with one column of logits for each possible previous token.
Eigen::ArrayXd probabilities(const parameters& policy, situation s) {
  const Eigen::ArrayXd p = policy.values.col(s.before).array().exp();
  return p / p.sum();
}

// The features of the linear value: a constant, and the fraction of the response that is still to come.
Eigen::VectorXd features(situation s) { return Eigen::Vector2d(1, 1 - static_cast<double>(s.place) / longest); }

int main() {
  parameters policy{Eigen::MatrixXd::Zero(vocabulary, vocabulary)}, value{Eigen::MatrixXd::Zero(2, 1)};
  const double initial_log_prob = -std::log(vocabulary);  // of any token: the policy starts as the uniform one
  const coho::token_sampler sample;
  const coho::ppo_clip_loss policy_loss;
  const coho::value_clip_loss value_loss;

  for (int step = 0; step <= 40; ++step) {
    // 1. Rollouts. One random stream per response, so a response does not depend on the batch.
    coho::packed<coho::token> responses;
    std::vector<situation> situations;
    std::vector<double> scores;
    for (std::uint64_t i = 0; i < 32; ++i) {
      coho::rng stream = coho::rng(1).split(static_cast<std::uint64_t>(step)).split(i);
      std::vector<coho::token> response;
      double score = 0;
      coho::token before = 1;  // the prompt
      do {
        situations.push_back({before, static_cast<int>(response.size())});
        const Eigen::ArrayXf logits = policy.values.col(before).cast<float>().array();
        response.push_back(sample(coho::as_span(logits), stream).id);
        score += response.back() == before % 4 + 1;  // the goal: counting, 1 2 3 4 1 2 …
        before = response.back();
      } while (before != 0 && response.size() < longest);
      responses.push_back(response);
      scores.push_back(score);
    }

    // 2. The policy's and the value model's outputs at sampling time. They are flat: one number per token.
    const auto tokens = static_cast<Eigen::Index>(responses.total());
    Eigen::ArrayXd log_probs(tokens), values(tokens);
    const auto evaluate = [&] {
      for (Eigen::Index t = 0; t < tokens; ++t) {
        const auto i = static_cast<std::size_t>(t);
        log_probs(t) = std::log(probabilities(policy, situations[i])(responses.values[i]));
        values(t) = features(situations[i]).dot(value.values.col(0));
      }
    };
    evaluate();
    const Eigen::ArrayXd old_log_probs = log_probs, old_values = values;

    // 3. From scores to advantages: the score on the last token, a KL penalty on each, GAE, whitening.
    const Eigen::ArrayXd reference = Eigen::ArrayXd::Constant(tokens, initial_log_prob);
    const Eigen::ArrayXd rewards = coho::shape_rewards({.sequence_rewards = scores,
                                                        .log_probs = old_log_probs,
                                                        .reference_log_probs = reference,
                                                        .offsets = responses.offsets},
                                                       {.kl_coefficient = 0.05});
    const auto [raw_advantages, returns] =
        coho::gae({.rewards = rewards, .values = old_values, .offsets = responses.offsets}, {.lambda = 0.95});
    const Eigen::ArrayXd advantages = coho::whiten(raw_advantages);

    // 4. Two passes. The losses return dL/d(log π) and dL/dV; from there on the chain rule is up to the model.
    double norm = 0;
    for (int epoch = 0; epoch < 2; ++epoch) {
      evaluate();
      const auto for_policy = policy_loss.value_and_grad(
          {.log_probs = log_probs, .old_log_probs = old_log_probs, .advantages = advantages});
      const auto for_value =
          value_loss.value_and_grad({.values = values, .old_values = old_values, .returns = returns});
      policy.zero_gradients();
      value.zero_gradients();
      for (Eigen::Index t = 0; t < tokens; ++t) {
        const auto i = static_cast<std::size_t>(t);
        auto logits = policy.gradient.col(situations[i].before).array();
        logits -= for_policy.d_log_probs(t) * probabilities(policy, situations[i]);
        logits(responses.values[i]) += for_policy.d_log_probs(t);
        value.gradient.col(0) += for_value.d_values(t) * features(situations[i]);
      }
      norm = coho::clip_gradient_norm(1.0, policy, value);
      policy.descend(4);
      value.descend(0.5);
    }
    const double score = coho::as_array(scores).mean();
    if (step % 10 == 0) std::printf("step %2d: score %.3f of %d, gradient norm %.4f\n", step, score, longest, norm);
  }
  std::printf("probability of 2 after 1: %.3f\n", probabilities(policy, {1, 0})(2));
}
