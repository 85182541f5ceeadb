// expect: bradley_terry_ties_loss
#include <coho/loss/bradley_terry_ties.hpp>

// Scores and outcomes could be swapped.
double loss(const Eigen::ArrayXd& first, const Eigen::ArrayXd& second, const Eigen::ArrayXd& outcomes) {
  const coho::bradley_terry_ties_loss loss;
#ifdef COHO_FAIL
  return loss(first, second, outcomes);
#else
  return loss({.chosen = first, .rejected = second, .targets = outcomes});
#endif
}
