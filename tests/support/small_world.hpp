#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include <coho/rng.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/toy/adam.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

namespace coho::test {

/// A language of three tokens (0 ends) in which every response of at most two tokens can be listed, with a policy that
/// is not uniform at the start, a reward that is a fixed number for each response, and all that a PPO step needs.
struct small_world {
  static constexpr std::size_t vocabulary = 3, order = 3, limit = 2;
  static constexpr token prompt = 1;

  toy::tabular_policy policy, initial;
  toy::tabular_value value{vocabulary, order};
  toy::adam<toy::tabular_policy, toy::tabular_value> optimizer{{}, policy, value};

  explicit small_world(double temperature = 1.0, std::vector<token> banned = {})
      : policy({.vocabulary = vocabulary,
                .order = order,
                .end = 0,
                .temperature = temperature,
                .banned = std::move(banned)}),
        initial(policy) {
    rng random(7);
    for (auto& z : policy.logits.reshaped()) z = 0.5 * random.normal();
    initial = policy;
  }
  small_world(const small_world&) = delete;

  /// r(y), spread over about ±1.
  static double reward_of(std::span<const token> response) {
    std::uint64_t code = 1;
    for (const token t : response) code = code * 3 + static_cast<std::uint64_t>(t);
    return rng(11, code).uniform() * 2 - 1;
  }
  static std::vector<double> reward(std::span<const reward_query> queries) {
    std::vector<double> out;
    for (const auto& query : queries) out.push_back(reward_of(query.response_tokens));
    return out;
  }

  static std::vector<rl_prompt> prompts(std::size_t count, std::uint64_t first_key = 0) {
    std::vector<rl_prompt> out;
    for (std::size_t i = 0; i < count; ++i) out.push_back({.tokens = {prompt}, .key = first_key + i});
    return out;
  }

  /// Every response with its probability under a policy.
  static std::map<std::vector<token>, double> distribution(const toy::tabular_policy& model) {
    std::map<std::vector<token>, double> out;
    std::vector<token> response;
    extend(model, response, 1.0, out);
    return out;
  }
  /// π*(y) ∝ π_init(y)·exp(r(y) / β): what the KL-penalised objective has as its only maximum.
  std::map<std::vector<token>, double> optimum(double beta) const {
    auto out = distribution(initial);
    double total = 0;
    for (auto& [response, p] : out) total += p *= std::exp(reward_of(response) / beta);
    for (auto& [response, p] : out) p /= total;
    return out;
  }
  static double total_variation(const std::map<std::vector<token>, double>& a,
                                const std::map<std::vector<token>, double>& b) {
    double sum = 0;
    for (const auto& [response, p] : a) sum += std::abs(p - b.at(response));
    return sum / 2;
  }

  /// Responses of the initial policy.
  packed<token> sampled(std::size_t count, std::uint64_t seed) {
    packed<token> prompts;
    std::vector<rng> streams;
    for (std::size_t i = 0; i < count; ++i) {
      prompts.push_back({prompt});
      streams.push_back(rng(seed).split(i));
    }
    return initial.generate(prompts, options().generation, streams).responses;
  }

  static ppo_options options() {
    ppo_options o;
    o.generation.max_new_tokens = limit;
    o.learning_rate.peak = 0.02;
    o.shaping.kl_coefficient = 0.5;
    o.value_coefficient = 1;
    o.gradient_norm_clip = 0;
    return o;
  }
  template <class Reward>
  auto trainer(Reward& rewards, const ppo_options& o) {
    return ppo_trainer{ppo_models{policy, initial, value, rewards, optimizer}, o};
  }
  auto trainer(const ppo_options& o) { return trainer(reward, o); }

 private:
  static void extend(const toy::tabular_policy& model, std::vector<token>& response, double p,
                     std::map<std::vector<token>, double>& out) {
    std::vector<token> text{prompt};
    text.insert(text.end(), response.begin(), response.end());
    const Eigen::ArrayXd next = model.probabilities(model.contexts().context_after(text));
    for (token t = 0; t < static_cast<token>(vocabulary); ++t) {
      response.push_back(t);
      if (t == 0 || response.size() == limit) {
        out[response] = p * next(t);
      } else {
        extend(model, response, p * next(t), out);
      }
      response.pop_back();
    }
  }
};

/// The rollouts of the last step.
struct keep_rollouts {
  trajectory_batch seen{};
  void on_rollouts(const trajectory_batch& rollouts) { seen = rollouts; }
};

/// The largest entry of |a − b|.
inline double largest_difference(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  return (a - b).cwiseAbs().maxCoeff();
}

}  // namespace coho::test
