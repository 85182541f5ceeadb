// expect: log-probs, values, scores and rewards are floating-point numbers, not integers
#include <vector>

#include <coho/loss/ppo_clip.hpp>

#ifdef COHO_FAIL
using number = int;
#else
using number = double;
#endif

double loss(const std::vector<number>& log_probs, const std::vector<double>& old) {
  return coho::ppo_clip_loss{}({.log_probs = log_probs, .old_log_probs = old, .advantages = old});
}
