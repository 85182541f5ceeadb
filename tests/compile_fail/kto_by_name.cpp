// expect: value_and_grad
#include <coho/loss/kto.hpp>

// Log-probs, reference and labels could be swapped.
double loss(const Eigen::ArrayXd& log_probs, const Eigen::ArrayXd& reference, const Eigen::ArrayXd& desirable) {
  const coho::kto_loss loss;
#ifdef COHO_FAIL
  return loss.value_and_grad(log_probs, reference, desirable, 0.5).value;
#else
  return loss
      .value_and_grad(
          {.log_probs = log_probs, .reference_log_probs = reference, .desirable = desirable, .kl_baseline = 0.5})
      .value;
#endif
}
