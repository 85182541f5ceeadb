#include <cmath>
#include <vector>

#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/bradley_terry_ties.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/loss_inputs.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::bradley_terry_ties_loss, coho::bradley_terry_ties_options, coho::tie_form;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

namespace {

const std::vector<bradley_terry_ties_options> with_ties{{},
                                                        {.theta = 1.1},
                                                        {.theta = 30},
                                                        {.form = tie_form::davidson},
                                                        {.form = tie_form::davidson, .nu = 0.1},
                                                        {.form = tie_form::davidson, .nu = 20}};
const std::vector<bradley_terry_ties_options> without_ties{{.theta = 1}, {.form = tie_form::davidson, .nu = 0}};

}  // namespace

TEST_CASE("by default all outcomes of equal scores are equally likely") {
  for (const auto form : {tie_form::rao_kupper, tie_form::davidson}) {
    const auto p = bradley_terry_ties_loss{{.form = form}}.probabilities(2, 2);
    CHECK(p.win == Approx(1.0 / 3).epsilon(1e-14));
    CHECK(p.tie == Approx(1.0 / 3).epsilon(1e-14));
    CHECK(p.loss == Approx(1.0 / 3).epsilon(1e-14));
  }
}

TEST_CASE("Rao–Kupper and Davidson probabilities by hand") {
  // Strengths e and 1: e/(e + 2), 3e/((e + 2)(2e + 1)), 1/(2e + 1).
  const auto rao_kupper = bradley_terry_ties_loss{{.theta = 2}}.probabilities(1, 0);
  CHECK(rao_kupper.win == Approx(0.5761168848).epsilon(1e-9));
  CHECK(rao_kupper.tie == Approx(0.2685207117).epsilon(1e-9));
  CHECK(rao_kupper.loss == Approx(0.1553624035).epsilon(1e-9));
  // e, √e and 1 over their sum.
  const auto davidson = bradley_terry_ties_loss{{.form = tie_form::davidson, .nu = 1}}.probabilities(1, 0);
  CHECK(davidson.win == Approx(0.5064803911).epsilon(1e-9));
  CHECK(davidson.tie == Approx(0.3071958857).epsilon(1e-9));
  CHECK(davidson.loss == Approx(0.1863237232).epsilon(1e-9));
  CHECK(bradley_terry_ties_loss{{.form = tie_form::davidson, .nu = 0.5}}.probabilities(0, 0).tie == Approx(0.2));
}

TEMPLATE_TEST_CASE("a win, a tie and a loss by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  const auto first = make<TestType>({2, 2, 2}), second = make<TestType>({1, 1, 1});
  const auto outcomes = make<TestType>({1, 0.5, 0});
  const bradley_terry_ties_loss loss{{.form = tie_form::davidson}};
  const double expected = -(std::log(0.5064803911) + std::log(0.3071958857) + std::log(0.1863237232)) / 3;
  const auto result = loss.value_and_grad(compared(first, second, outcomes));
  CHECK(result.value == Approx(expected).epsilon(1e-7));
  CHECK(loss(compared(first, second, outcomes)) == Approx(expected).epsilon(1e-7));
  CHECK(result.d_chosen[0] == Approx(-(0.1863237232 + 0.3071958857 / 2) / 3).epsilon(1e-6));
  CHECK(result.d_chosen[1] == Approx((0.5064803911 - 0.1863237232) / 2 / 3).epsilon(1e-6));
  CHECK(result.d_rejected[2] == Approx(-(0.5064803911 + 0.3071958857 / 2) / 3).epsilon(1e-6));
  CHECK(result.accuracy == Approx(1.5 / 3));
  const bradley_terry_ties_loss rao_kupper;
  CHECK(rao_kupper(compared(first, second, outcomes)) ==
        Approx(-(std::log(0.5761168848) + std::log(0.2685207117) + std::log(0.1553624035)) / 3).epsilon(1e-7));
}

TEST_CASE("the probabilities of the three outcomes sum to 1 and are the losses'") {
  for (const auto& all : {with_ties, without_ties}) {
    for (const auto& options : all) {
      const bradley_terry_ties_loss loss{options};
      for (const double d : {-30.0, -2.0, 0.0, 0.7, 4.0, 800.0}) {
        const auto p = loss.probabilities(d + 1, 1), q = loss.probabilities(1, d + 1);
        CHECK(p.win + p.tie + p.loss == Approx(1).epsilon(1e-13));
        CHECK(p.win == Approx(q.loss).epsilon(1e-13));
        CHECK(p.tie == Approx(q.tie).epsilon(1e-13));
        CHECK(std::exp(-loss(d + 1, 1.0, 1.0)) == Approx(p.win).epsilon(1e-13));
        CHECK(std::exp(-loss(d + 1, 1.0, 0.0)) == Approx(p.loss).epsilon(1e-13));
        if (p.tie > 0) CHECK(std::exp(-loss(d + 1, 1.0, 0.5)) == Approx(p.tie).epsilon(1e-13));
      }
    }
  }
}

TEST_CASE("a tie's odds in Davidson's form are the geometric mean and in Rao–Kupper's a threshold") {
  const auto d = bradley_terry_ties_loss{{.form = tie_form::davidson, .nu = 0.7}}.probabilities(1.3, 0.2);
  CHECK(d.tie == Approx(0.7 * std::sqrt(d.win * d.loss)).epsilon(1e-13));
  // At a difference of ln θ the stronger one wins half of the comparisons.
  CHECK(bradley_terry_ties_loss{{.theta = 3}}.probabilities(std::log(3.0), 0).win == Approx(0.5).epsilon(1e-14));
}

TEST_CASE("where ties are ruled out the loss is Bradley–Terry's, and a tie is an error") {
  const Eigen::ArrayXd r = normals(9, 1, 3), s = normals(9, 2, 3);
  Eigen::ArrayXd outcomes = Eigen::ArrayXd::Zero(9);
  outcomes.head(4) = 1;
  const coho::token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd::Constant(9, 1.0 / 9)};
  const auto expected = coho::bradley_terry_loss{}.value_and_grad(compared(r, s, outcomes, weights));
  for (const auto& options : without_ties) {
    const bradley_terry_ties_loss loss{options};
    const auto result = loss.value_and_grad(compared(r, s, outcomes));
    CHECK(result.value == Approx(expected.value).epsilon(1e-12));
    CHECK((result.d_chosen - expected.d_chosen).abs().maxCoeff() < 1e-14);
    CHECK((result.d_rejected - expected.d_rejected).abs().maxCoeff() < 1e-14);
    CHECK(result.accuracy == Approx(expected.accuracy));
    CHECK(loss.probabilities(1, 1).tie == 0);
    outcomes[2] = 0.5;
    CHECK_THROWS_WITH(loss(compared(r, s, outcomes)), Catch::Contains("rule ties out"));
    CHECK_THROWS_AS(loss(1.0, 1.0, 0.5), coho::argument_error);
    outcomes[2] = 1;
  }
}

TEST_CASE("gradients of both tie forms agree with central differences") {
  const Eigen::ArrayXd r = normals(15, 1, 2), s = normals(15, 2, 2);
  Eigen::ArrayXd outcomes(15), factors = normals(15, 5).abs();
  for (Eigen::Index i = 0; i < 15; ++i) outcomes[i] = 0.25 * static_cast<double>(i % 5);
  factors[3] = 0;
  const weights_type weights{factors};
  for (const auto& options : with_ties) {
    const bradley_terry_ties_loss loss{options};
    const auto result = loss.value_and_grad(compared(r, s, outcomes, weights));
    CHECK(result.value == Approx(loss(compared(r, s, outcomes, weights))).epsilon(1e-12));
    CHECK(result.d_chosen[3] == 0);
    check_gradient(r, result.d_chosen,
                   [&](const Eigen::ArrayXd& x) { return loss(compared(x, s, outcomes, weights)); });
    check_gradient(s, result.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss(compared(r, x, outcomes, weights)); });
    check_gradient(r, loss.value_and_grad(compared(r, s, outcomes)).d_chosen,
                   [&](const Eigen::ArrayXd& x) { return loss(compared(x, s, outcomes)); });
    // At equal scores too, where the closed forms change sides.
    const auto equal = loss.value_and_grad(compared(r, r, outcomes));
    check_gradient(r, equal.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(compared(x, r, outcomes)); });
    check_gradient(r, equal.d_rejected, [&](const Eigen::ArrayXd& x) { return loss(compared(r, x, outcomes)); });
  }
}

TEST_CASE("an outcome between two is their mixture") {
  for (const auto& options : with_ties) {
    const bradley_terry_ties_loss loss{options};
    CHECK(loss(1.0, 0.2, 0.75) == Approx(0.5 * (loss(1.0, 0.2, 1.0) + loss(1.0, 0.2, 0.5))).epsilon(1e-13));
    CHECK(loss(1.0, 0.2, 0.1) == Approx(0.8 * loss(1.0, 0.2, 0.0) + 0.2 * loss(1.0, 0.2, 0.5)).epsilon(1e-13));
  }
}

TEST_CASE("tie losses only see differences, and swapping the pair swaps the outcome") {
  for (const auto& options : with_ties) {
    const bradley_terry_ties_loss loss{options};
    for (const double t : {0.0, 0.5, 1.0}) {
      CHECK(loss(8.5, 7.0, t) == Approx(loss(1.5, 0.0, t)).epsilon(1e-13));
      CHECK(loss(1.5, 0.0, t) == Approx(loss(0.0, 1.5, 1 - t)).epsilon(1e-13));
    }
    CHECK(loss(0.0, 0.0, 0.5) < loss(1.0, 0.0, 0.5));
  }
}

TEST_CASE("extreme scores of tie losses neither overflow nor lose small losses") {
  for (const auto& options : with_ties) {
    const bradley_terry_ties_loss loss{options};
    CHECK(loss(0.0, 1e5, 1.0) == Approx(1e5).epsilon(1e-3));
    CHECK(loss(1e5, 0.0, 1.0) == 0);
    CHECK(std::isfinite(loss(1e5, -1e5, 0.5)));
    const auto result = loss.value_and_grad(compared(array({1e5, -1e5}), array({0, 0}), array({0.5, 1})));
    CHECK(result.d_chosen.isFinite().all());
    CHECK(result.d_chosen[1] == Approx(-0.5));
  }
  CHECK(bradley_terry_ties_loss{}(60.0, 0.0, 1.0) == Approx(2 * std::exp(-60.0)));
  const bradley_terry_ties_loss davidson{{.form = tie_form::davidson}};
  CHECK(davidson(100.0, 0.0, 1.0) == Approx(std::exp(-50.0)));
  CHECK(davidson.value_and_grad(compared(array({100}), array({0}), array({1}))).d_chosen[0] ==
        Approx(-0.5 * std::exp(-50.0)));
}

TEST_CASE("tie losses leave pairs of weight 0 out, NaN and all") {
  const auto x = array({1, not_a_number});
  for (const auto form : {tie_form::rao_kupper, tie_form::davidson}) {
    const bradley_terry_ties_loss loss{{.form = form}};
    const auto result = loss.value_and_grad(compared(x, x, x, weights_type{array({1, 0})}));
    CHECK(result.value == Approx(std::log(3.0)));
    CHECK(result.d_chosen[1] == 0);
    CHECK(result.accuracy == 0.5);
    CHECK_THROWS_AS(loss(compared(x, x, array({1, 1}))), coho::argument_error);
    CHECK_THROWS_AS(loss(compared(array({1}), array({1}), array({not_a_number}))), coho::argument_error);
  }
}

TEST_CASE("no pairs, unusable options, outcomes and lengths of tie losses") {
  const Eigen::ArrayXd none, one = array({1}), two = array({1, 0});
  const bradley_terry_ties_loss loss;
  CHECK(loss(compared(none, none, none)) == 0);
  CHECK(loss.value_and_grad(compared(none, none, none)).d_rejected.size() == 0);
  for (const double theta : {0.99, -1.0, not_a_number, infinity}) {
    CHECK_THROWS_WITH(bradley_terry_ties_loss({.theta = theta}), Catch::Contains("option theta"));
  }
  for (const double nu : {-0.1, not_a_number, infinity}) {
    CHECK_THROWS_WITH(bradley_terry_ties_loss({.nu = nu}), Catch::Contains("option nu"));
  }
  CHECK_THROWS_WITH(loss(1.0, 1.0, 1.5), Catch::Contains("outside [0, 1]"));
  CHECK_THROWS_WITH(loss(compared(two, two, array({1, -1}))), Catch::Contains("outside [0, 1]"));
  CHECK_THROWS_WITH(loss(compared(two, one, two)), Catch::Contains("rejected"));
  CHECK_THROWS_WITH(loss(compared(two, two, one)), Catch::Contains("targets"));
  CHECK_THROWS_WITH(loss({.chosen = two, .rejected = two}), Catch::Contains("targets"));
  const auto with_margins = [&] {
    return loss({.chosen = two, .rejected = two, .targets = two, .margins = Eigen::ArrayXd(two)});
  };
  CHECK_THROWS_WITH(with_margins(), Catch::Contains("margins"));
  CHECK_THROWS_AS(loss(compared(two, two, two, weights_type{one})), coho::argument_error);
}
