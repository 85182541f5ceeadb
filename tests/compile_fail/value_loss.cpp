// expect: coho::value_loss (1): the loss has no value_and_grad(values, old_values, returns, weights) const
#include <coho/train/steps/policy_components.hpp>

struct squared {
  struct result {
    double value;
    Eigen::ArrayXd d_values;
  };
  result value_and_grad(const Eigen::ArrayXd& values, const Eigen::ArrayXd& old_values, const Eigen::ArrayXd& returns,
                        const coho::token_weights<Eigen::ArrayXd>& weights)
#ifndef COHO_FAIL
      const
#endif
      ;
};

static_assert(coho::require_value_loss<squared>());
