// expect: value_and_grad
#include <coho/kl/kl_loss.hpp>

// Policy and reference could be swapped.
double loss(const Eigen::ArrayXd& log_probs, const Eigen::ArrayXd& reference,
            const coho::token_weights<Eigen::ArrayXd>& weights) {
  const coho::kl_loss loss;
#ifdef COHO_FAIL
  return loss.value_and_grad(log_probs, reference, weights).value;
#else
  return loss.value_and_grad({.log_probs = log_probs, .reference_log_probs = reference, .weights = weights}).value;
#endif
}
