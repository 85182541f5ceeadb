// expect: value_and_grad
#include <coho/loss/orpo.hpp>

double loss(const Eigen::ArrayXd& chosen, const Eigen::ArrayXd& rejected) {
  const coho::orpo_loss loss;
#ifdef COHO_FAIL
  return loss.value_and_grad({.chosen = chosen}).value + rejected.sum();
#else
  return loss.value_and_grad({.chosen = chosen, .rejected = rejected}).value;
#endif
}
