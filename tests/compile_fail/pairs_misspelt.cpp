// expect: value_and_grad
#include <coho/loss/bradley_terry.hpp>

double loss(const Eigen::ArrayXd& chosen, const Eigen::ArrayXd& rejected, const Eigen::ArrayXd& margins) {
  const coho::bradley_terry_loss loss;
#ifdef COHO_FAIL
  return loss.value_and_grad({.chosen = chosen, .rejected = rejected, .margin = margins}).value;
#else
  return loss.value_and_grad({.chosen = chosen, .rejected = rejected, .margins = margins}).value;
#endif
}
