// expect: coho::pair_loss (1): the loss has no value_and_grad(preferred, other, weights, targets) const that returns
#include <coho/train/reward_model.hpp>

struct hinge {
  struct result {
    double value;
    Eigen::ArrayXd d_preferred;
#ifndef COHO_FAIL
    Eigen::ArrayXd d_other;
#endif
  };
  result value_and_grad(const Eigen::ArrayXd& preferred, const Eigen::ArrayXd& other,
                        const coho::token_weights<Eigen::ArrayXd>& weights, const Eigen::ArrayXd& targets) const;
};

static_assert(coho::require_pair_loss<hinge>());
