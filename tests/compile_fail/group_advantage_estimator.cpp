// expect: coho::group_advantage_estimator (1): the estimator is not callable (const) with rewards and the groups'
// offsets
#include <coho/train/steps/policy_components.hpp>

struct best_of_group {
#ifndef COHO_FAIL
  Eigen::ArrayXd operator()(const Eigen::ArrayXd& rewards, std::span<const std::size_t> groups) const;
#else
  Eigen::ArrayXd operator()(const Eigen::ArrayXd& rewards) const;
#endif
};

static_assert(coho::require_group_advantage_estimator<best_of_group>());
