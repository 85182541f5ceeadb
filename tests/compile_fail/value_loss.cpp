// expect: coho::value_loss (1): the loss has no value_and_grad(const value_loss_inputs<double>&) const
#include <coho/train/steps/policy_components.hpp>

struct squared {
  struct result {
    double value;
    Eigen::ArrayXd d_values;
  };
  result value_and_grad(const coho::value_loss_inputs<double>& in)
#ifndef COHO_FAIL
      const
#endif
      ;
};

static_assert(coho::require_value_loss<squared>());
