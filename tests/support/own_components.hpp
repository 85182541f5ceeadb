#pragma once

#include <vector>

#include <coho/train/ppo.hpp>
#include <coho/train/steps/preference_objective.hpp>

#include "support/small_world.hpp"

namespace coho::test {

/// −Σ w·A·ρ: what PPO minimises where nothing is clipped.
struct unclipped_loss {
  struct result {
    double value;
    std::vector<double> d_log_probs;
  };
  result value_and_grad(const policy_loss_inputs<double>& in) const {
    const Eigen::ArrayXd terms = -in.weights.values * in.advantages * (in.log_probs - in.old_log_probs).exp();
    return {terms.sum(), {terms.begin(), terms.end()}};
  }
};

/// A preference loss of its own: Σ w·(other − preferred), without a reference.
struct linear_preference_loss {
  static constexpr bool needs_reference = false;
  preference_gradient value_and_grad(const preference_log_probs& x, const token_weights<Eigen::ArrayXd>& w) const {
    return {.value = (w.values * (x.other - x.preferred)).sum(), .d_preferred = -w.values, .d_other = w.values};
  }
};

template <class Components>
auto trainer_of(small_world& world, const ppo_options& options, Components components) {
  return ppo_trainer{ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer},
                     options, components};
}

}  // namespace coho::test
