// expect: coho::preference_loss (1): the loss is none of coho's losses over whole responses and has no
#include <coho/train/steps/preference_objective.hpp>

struct own_loss {
#ifndef COHO_FAIL
  coho::preference_gradient value_and_grad(const coho::preference_log_probs& log_probs,
                                           const coho::token_weights<Eigen::ArrayXd>& weights) const;
#else
  double value_and_grad(const coho::preference_log_probs& log_probs,
                        const coho::token_weights<Eigen::ArrayXd>& weights) const;
#endif
};

static_assert(coho::require_preference_loss<own_loss>());
