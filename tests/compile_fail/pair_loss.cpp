// expect: coho::pair_loss (1): the loss has no value_and_grad(chosen, rejected, weights, targets) const that returns
#include <coho/train/reward_model.hpp>

struct hinge {
  struct result {
    double value;
    Eigen::ArrayXd d_chosen;
#ifndef COHO_FAIL
    Eigen::ArrayXd d_rejected;
#endif
  };
  result value_and_grad(const Eigen::ArrayXd& chosen, const Eigen::ArrayXd& rejected,
                        const coho::token_weights<Eigen::ArrayXd>& weights, const Eigen::ArrayXd& targets) const;
};

static_assert(coho::require_pair_loss<hinge>());
