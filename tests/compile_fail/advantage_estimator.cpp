// expect: coho::advantage_estimator (1): the result has no advantages and returns that are Eigen arrays of double
#include <coho/train/steps/policy_components.hpp>

struct reward_minus_value {
#ifndef COHO_FAIL
  coho::gae_result<Eigen::ArrayXd>
#else
  Eigen::ArrayXd
#endif
  operator()(const coho::advantage_inputs<double>& in) const;
};

static_assert(coho::require_advantage_estimator<reward_minus_value>());
