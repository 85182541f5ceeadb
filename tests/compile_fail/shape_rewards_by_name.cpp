// expect: shape_rewards_fn
#include <coho/reward/shaping.hpp>

// Policy and reference could be swapped.
Eigen::ArrayXd shaped(const Eigen::ArrayXd& rewards, const Eigen::ArrayXd& log_probs, const Eigen::ArrayXd& reference,
                      std::span<const std::size_t> offsets) {
#ifdef COHO_FAIL
  return coho::shape_rewards(rewards, reference, log_probs, offsets);
#else
  return coho::shape_rewards(
      {.sequence_rewards = rewards, .log_probs = log_probs, .reference_log_probs = reference, .offsets = offsets});
#endif
}
