// expect: value_and_grad
#include <coho/loss/dpo.hpp>

// Policy and reference could be swapped.
double loss(const Eigen::ArrayXd& chosen, const Eigen::ArrayXd& rejected, const Eigen::ArrayXd& reference_chosen,
            const Eigen::ArrayXd& reference_rejected) {
  const coho::dpo_loss loss;
#ifdef COHO_FAIL
  return loss.value_and_grad(chosen, rejected, reference_chosen, reference_rejected).value;
#else
  return loss
      .value_and_grad({.chosen = chosen,
                       .rejected = rejected,
                       .reference_chosen = reference_chosen,
                       .reference_rejected = reference_rejected})
      .value;
#endif
}
