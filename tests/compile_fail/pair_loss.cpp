// expect: coho::pair_loss (1): the loss has no value_and_grad(const pair_scores&, const token_weights<Eigen::ArrayXd>&)
#include <coho/train/reward_model.hpp>

struct hinge {
#ifndef COHO_FAIL
  coho::pair_gradient value_and_grad(const coho::pair_scores& scores,
                                     const coho::token_weights<Eigen::ArrayXd>& weights) const;
#else
  double value_and_grad(const coho::pair_scores& scores, const coho::token_weights<Eigen::ArrayXd>& weights) const;
#endif
};

static_assert(coho::require_pair_loss<hinge>());
