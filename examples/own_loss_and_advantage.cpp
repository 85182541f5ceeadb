// A new policy loss and a new advantage in the library's PPO. Neither derives from anything or registers anywhere: they
// have the members that coho::policy_loss and coho::advantage_estimator ask for, and the driver takes them as
// components. Everything else (rollouts, KL, minibatches, clipping of gradients, statistics) stays the library's.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <vector>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/return_to_go.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/toy/tabular_value.hpp>
#include <coho/train/ppo.hpp>

// The loss of simple policy optimisation (Xie et al. 2024): a parabola in the ratio in place of PPO's kink. With
// ρ = π / π_old a token's term is −A·ρ + |A|/(2ε)·(ρ − 1)², smallest at ρ = 1 ± ε: the pull fades towards the border of
// the trusted ratios instead of stopping there, and beyond it turns back.
struct simple_policy_loss {
  double epsilon = 0.2;

  struct result {  // these two names are what the driver reads
    double value;
    Eigen::ArrayXd d_log_probs;
  };
  // The arrays have one number per response token. The weights hold the mask and the mean: a plain sum over tokens of
  // weight × term is also right for minibatches that are processed in parts.
  result value_and_grad(const coho::policy_loss_inputs<double>& in) const {
    const Eigen::ArrayXd ratio = (in.log_probs - in.old_log_probs).exp(), steepness = in.advantages.abs() / epsilon;
    const Eigen::ArrayXd term = -in.advantages * ratio + 0.5 * steepness * (ratio - 1).square();
    const Eigen::ArrayXd slope = (-in.advantages + steepness * (ratio - 1)) * ratio;  // dρ/d(log π) = ρ
    return {(in.weights.values * term).sum(), in.weights.values * slope};
  }
};

// An advantage without a critic: the reward still to come, less the mean of what the other responses of the step had to
// come at the same place. The result's second part is what the value model is trained on; gae's own struct will do.
struct place_baseline {
  coho::gae_result<Eigen::ArrayXd> operator()(const coho::advantage_inputs<double>& in) const {
    const auto offsets = in.offsets;
    const Eigen::ArrayXd to_come = coho::return_to_go(in.rewards, offsets);
    std::vector<double> sum, count;  // by place
    const auto each = [&](auto visit) {
      for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
        for (std::size_t t = offsets[i]; t < offsets[i + 1]; ++t) visit(static_cast<Eigen::Index>(t), t - offsets[i]);
      }
    };
    each([&](Eigen::Index t, std::size_t place) {
      sum.resize(std::max(sum.size(), place + 1));
      count.resize(sum.size());
      sum[place] += to_come(t);
      count[place] += 1;
    });
    Eigen::ArrayXd advantages(to_come.size());
    each([&](Eigen::Index t, std::size_t k) {
      advantages(t) = count[k] > 1 ? to_come(t) - (sum[k] - to_come(t)) / (count[k] - 1) : 0.0;
    });
    return {advantages, to_come};
  }
};

// Here a mistake is found while it is cheap: these name the first requirement that is not met.
static_assert(coho::require_policy_loss<simple_policy_loss>());
static_assert(coho::require_advantage_estimator<place_baseline>());

// A gradient by hand wants a check by differences: the largest error over a few tokens, one of them masked.
double gradient_error(const simple_policy_loss& loss) {
  Eigen::ArrayXd log_probs{{-1.0, -0.4, -2.0, -0.1}};
  const Eigen::ArrayXd old_log_probs{{-1.2, -0.3, -2.0, -3.0}}, advantages{{1.0, -0.5, 2.0, 1.0}};
  const coho::token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd{{0.4, 0.3, 0.3, 0.0}}};
  const auto now = [&] {
    return loss.value_and_grad(
        {.log_probs = log_probs, .old_log_probs = old_log_probs, .advantages = advantages, .weights = weights});
  };
  const Eigen::ArrayXd exact = now().d_log_probs;
  double worst = 0;
  for (Eigen::Index t = 0; t < exact.size(); ++t) {
    double differences = 0;
    for (const double side : {1.0, -1.0}) {
      log_probs(t) += side * 1e-5;
      differences += side * now().value;
      log_probs(t) -= side * 1e-5;
    }
    worst = std::max(worst, std::abs(differences / 2e-5 - exact(t)));
  }
  return worst;
}

// The same run with any components. The goal: responses whose neighbouring tokens differ.
template <class Components>
void train(const char* name, Components components) {
  coho::toy::tabular_policy policy{{.vocabulary = 4}}, initial = policy;
  coho::toy::tabular_value value(4, 1);
  coho::toy::sgd optimizer(policy, value);
  auto reward = [](std::span<const coho::reward_query> batch) {
    std::vector<double> scores;
    for (const auto& query : batch) {
      const auto y = query.response_tokens;
      scores.push_back(0);
      for (std::size_t t = 1; t < y.size(); ++t) scores.back() += y[t] != y[t - 1] && y[t] != 0;
    }
    return scores;
  };
  coho::ppo_options options{.generation = {.max_new_tokens = 8}, .shaping = {.kl_coefficient = 0.05}};
  options.learning_rate.peak = 0.5;
  coho::ppo_trainer trainer{coho::ppo_models{policy, initial, value, reward, optimizer}, options, components};
  std::vector<coho::rl_prompt> prompts(64, {.tokens = {1}});
  for (std::uint64_t i = 0; i < prompts.size(); ++i) prompts[i].key = i;
  const auto history = trainer.run([&](std::uint64_t) -> const auto& { return prompts; }, 60);
  std::printf("%s: reward %.3f -> %.3f\n", name, history.front().reward_mean, history.back().reward_mean);
}

int main() {
  const simple_policy_loss loss;
  std::printf("gradient against differences: %s\n", gradient_error(loss) < 1e-8 ? "right" : "WRONG");
  train("clipped loss, GAE", coho::ppo_components{});
  train("own loss, GAE", coho::ppo_components{.policy_loss = loss});
  train("own loss, own advantage", coho::ppo_components{.policy_loss = loss, .advantage = place_baseline{}});
}
