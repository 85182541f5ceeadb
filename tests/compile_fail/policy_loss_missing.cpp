// expect: coho::policy_loss (1): the loss has no value_and_grad(const policy_loss_inputs<double>&) const
#include <coho/loss/ppo_clip.hpp>
#include <coho/train/steps/policy_components.hpp>

struct only_a_value {
  double operator()(const Eigen::ArrayXd& log_probs) const;
};

#ifndef COHO_FAIL
static_assert(coho::require_policy_loss<coho::ppo_clip_loss>());
#else
static_assert(coho::require_policy_loss<only_a_value>());
#endif
