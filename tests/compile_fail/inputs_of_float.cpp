// expect: inputs in braces are of double; for arrays of float name the type
#include <vector>

#include <coho/loss/ppo_clip.hpp>

double loss(const std::vector<float>& x) {
#ifdef COHO_FAIL
  return coho::ppo_clip_loss{}({.log_probs = x, .old_log_probs = x, .advantages = x});
#else
  return coho::ppo_clip_loss{}(coho::policy_loss_inputs<float>{.log_probs = x, .old_log_probs = x, .advantages = x});
#endif
}
