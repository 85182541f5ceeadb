#include <cmath>

#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/bradley_terry_ties.hpp>
#include <coho/loss/inputs/pair_scores.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho;

TEST_CASE("losses of a batch of pairs are those of its arrays") {
  const pair_scores x{.chosen = test::normals(5, 1),
                      .rejected = test::normals(5, 2),
                      .targets = Eigen::ArrayXd{{1, 0.5, 0.8, 1, 0}},
                      .margins = test::normals(5, 3)};
  const token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd{{0.1, 0.4, 0, 0.2, 0.3}}};
  const bradley_terry_loss plain{{.margin = 0.2, .label_smoothing = 0.1, .centring = 0.05}};
  const auto a = plain.value_and_grad(x, weights);
  const auto b = plain.value_and_grad(
      {.chosen = x.chosen, .rejected = x.rejected, .targets = x.targets, .margins = x.margins, .weights = weights});
  CHECK(a.value == b.value);
  CHECK((a.d_chosen == b.d_chosen).all());
  CHECK((a.d_rejected == b.d_rejected).all());
  CHECK(a.d_chosen(2) == 0);

  const bradley_terry_ties_loss ties{{.theta = 1.5}};
  const auto c = ties.value_and_grad(x, weights);
  const auto d =
      ties.value_and_grad({.chosen = x.chosen, .rejected = x.rejected, .targets = x.targets, .weights = weights});
  CHECK(c.value == d.value);
  CHECK((c.d_chosen == d.d_chosen).all());
  CHECK((c.d_rejected == d.d_rejected).all());
}

TEST_CASE("one pair by name, by hand") {
  const Eigen::ArrayXd one = Eigen::ArrayXd::Ones(1), zero = Eigen::ArrayXd::Zero(1);
  const auto loss = bradley_terry_loss{}.value_and_grad(
      pair_scores{.chosen = 2 * one, .rejected = one, .targets = one, .margins = one},
      token_weights<Eigen::ArrayXd>{one});
  CHECK(loss.value == Approx(std::log(2.0)));  // 2 − 1 is just the margin
  CHECK(loss.d_chosen(0) == Approx(-0.5));
  CHECK(loss.d_rejected(0) == Approx(0.5));
  const auto tie = bradley_terry_ties_loss{{.form = tie_form::davidson}}.value_and_grad(
      pair_scores{.chosen = one, .rejected = one, .targets = 0.5 * one, .margins = zero},
      token_weights<Eigen::ArrayXd>{one});
  CHECK(tie.value == Approx(std::log(3.0)));  // three outcomes, equally likely
  CHECK(tie.d_chosen(0) == Approx(0).margin(1e-15));
}
