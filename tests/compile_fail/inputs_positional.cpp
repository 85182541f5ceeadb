// expect: value_and_grad
#include <coho/loss/ppo_clip.hpp>

double loss(const Eigen::ArrayXd& log_probs, const Eigen::ArrayXd& old, const Eigen::ArrayXd& advantages) {
  const coho::ppo_clip_loss loss;
#ifdef COHO_FAIL
  return loss.value_and_grad(log_probs, old, advantages).value;
#else
  return loss.value_and_grad({.log_probs = log_probs, .old_log_probs = old, .advantages = advantages}).value;
#endif
}
