// expect: coho::policy_loss (1): value_and_grad returns no value and d_log_probs
#include <coho/train/steps/policy_components.hpp>

struct own_loss {
  struct result {
    double value;
#ifndef COHO_FAIL
    Eigen::ArrayXd d_log_probs;
#else
    Eigen::ArrayXd gradient;
#endif
  };
  result value_and_grad(const coho::policy_loss_inputs<double>& in) const;
};

static_assert(coho::require_policy_loss<own_loss>());
