// expect: value_and_grad
#include <coho/loss/simpo.hpp>

double loss(const Eigen::ArrayXd& chosen, const Eigen::ArrayXd& rejected) {
  const coho::simpo_loss loss;
#ifdef COHO_FAIL
  return loss.value_and_grad({chosen, rejected}).value;
#else
  return loss.value_and_grad({.chosen = chosen, .rejected = rejected}).value;
#endif
}
