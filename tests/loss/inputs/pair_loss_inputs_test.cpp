#include <vector>

#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/bradley_terry_ties.hpp>
#include <coho/loss/inputs/pair_loss_inputs.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;

TEST_CASE("pairs by name give the same loss whatever the containers, with each member left out or not") {
  const std::vector<double> chosen{1, 2}, rejected{0.5, 3};
  const std::vector<float> targets{1, 0.5}, margins{0.25, 1};
  const coho::token_weights<Eigen::ArrayXd> weights{array({0.25, 0.75})};
  const coho::bradley_terry_loss loss;
  CHECK(loss({.chosen = chosen, .rejected = rejected}) == Approx(0.5 * (loss(1.0, 0.5) + loss(2.0, 3.0))));
  CHECK(loss({.chosen = chosen, .rejected = rejected, .targets = targets}) ==
        Approx(0.5 * (loss(1.0, 0.5) + loss(2.0, 3.0, 0.5))));
  CHECK(loss({.chosen = chosen, .rejected = rejected, .margins = margins, .weights = weights}) ==
        Approx(0.25 * loss(1.0, 0.5, 1, 0.25) + 0.75 * loss(2.0, 3.0, 1, 1)));
  CHECK(loss({.chosen = chosen, .rejected = rejected, .targets = targets, .margins = margins, .weights = weights}) ==
        Approx(0.25 * loss(1.0, 0.5, 1, 0.25) + 0.75 * loss(2.0, 3.0, 0.5, 1)));
  const coho::bradley_terry_ties_loss ties;
  CHECK(ties({.chosen = chosen, .rejected = rejected, .targets = targets}) ==
        Approx(0.5 * (ties(1.0, 0.5, 1.0) + ties(2.0, 3.0, 0.5))));
}
