#include <cmath>
#include <vector>

#include <coho/loss/orpo.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/loss_inputs.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::orpo_loss;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

TEST_CASE("ORPO of equal odds is the negative log-likelihood and λ·ln 2") {
  CHECK(orpo_loss{{.lambda = 1}}(-2.0, -2.0) == Approx(2 + std::log(2.0)).epsilon(1e-14));
  CHECK(orpo_loss{{.lambda = 0.25}}(-0.01, -0.01) == Approx(0.01 + 0.25 * std::log(2.0)).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("ORPO of probabilities one half and one quarter by hand", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  // Odds 1 and 1/3: the ratio is 3, −log σ(log 3) = log(4/3).
  const auto chosen = make<TestType>({std::log(0.5)}), rejected = make<TestType>({std::log(0.25)});
  const orpo_loss loss{{.lambda = 0.1}};
  const auto result = loss.value_and_grad(means(chosen, rejected));
  CHECK(result.value == Approx(0.7219153878).epsilon(1e-6));
  CHECK(loss(means(chosen, rejected)) == Approx(0.7219153878).epsilon(1e-6));
  // σ(−log 3) = 1/4; derivatives of the log-odds 1/(1 − p) = 2 and 4/3.
  CHECK(result.d_chosen[0] == Approx(-1 - 0.1 * 0.25 * 2).epsilon(1e-6));
  CHECK(result.d_rejected[0] == Approx(0.1 * 0.25 * 4 / 3).epsilon(1e-6));
  CHECK(result.accuracy == 1);
  CHECK(result.margin == Approx(std::log(3.0)).epsilon(1e-6));
}

TEST_CASE("ORPO without its odds-ratio term is supervised fine-tuning") {
  const Eigen::ArrayXd chosen = -normals(9, 1).abs() - 0.01, rejected = -normals(9, 2).abs() - 0.01;
  const auto result = orpo_loss{{.lambda = 0}}.value_and_grad(means(chosen, rejected));
  CHECK(result.value == Approx(-chosen.mean()).epsilon(1e-12));
  CHECK((result.d_chosen + 1.0 / 9).abs().maxCoeff() < 1e-15);
  CHECK((result.d_rejected == 0).all());
}

TEST_CASE("ORPO's gradients agree with central differences") {
  const Eigen::ArrayXd chosen = -normals(15, 1, 2).abs() - 0.05, rejected = -normals(15, 2, 2).abs() - 0.05;
  Eigen::ArrayXd factors = normals(15, 5).abs();
  factors[3] = 0;
  const weights_type weights{factors};
  for (const double lambda : {0.1, 1.0, 3.0}) {
    const orpo_loss loss{{.lambda = lambda}};
    const auto result = loss.value_and_grad(means(chosen, rejected, weights));
    CHECK(result.value == Approx(loss(means(chosen, rejected, weights))).epsilon(1e-12));
    CHECK(result.d_rejected[3] == 0);
    check_gradient(chosen, result.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(means(x, rejected, weights)); });
    check_gradient(rejected, result.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss(means(chosen, x, weights)); });
    const auto plain = loss.value_and_grad(means(chosen, rejected));
    check_gradient(chosen, plain.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(means(x, rejected)); });
    check_gradient(rejected, plain.d_rejected, [&](const Eigen::ArrayXd& x) { return loss(means(chosen, x)); });
  }
}

TEST_CASE("ORPO's log-odds stay precise for probabilities near 0 and near 1") {
  // Near 0 the odds are the probability; near 1 their logarithm is −log(−ℓ) + ℓ/2 to first order.
  const auto far = orpo_loss{{.lambda = 1}}.value_and_grad(means(array({-500}), array({-700})));
  CHECK(far.margin == Approx(200).epsilon(1e-14));
  const auto near = orpo_loss{{.lambda = 1}}.value_and_grad(means(array({-1e-5}), array({-1e-4})));
  CHECK(near.margin == Approx(std::log(10.0) + 0.5 * (1e-4 - 1e-5)).epsilon(1e-9));
  CHECK(std::isfinite(orpo_loss{}(-1e6, -1e-5)));
  CHECK(orpo_loss{{.lambda = 1}}(-1e5, -1e-5) == Approx(2e5).epsilon(1e-3));
}

TEST_CASE("a certain response of ORPO from both sides of the limit") {
  const orpo_loss loss{{.lambda = 1}};
  // Both beyond the limit: their odds are equal, and the odds have no gradient.
  CHECK(loss(0.0, 0.0) == Approx(std::log(2.0)).epsilon(1e-12));
  CHECK(loss(0.0, -1e-7) == Approx(std::log(2.0)).epsilon(1e-12));
  const auto certain = loss.value_and_grad(means(array({-0.5e-6}), array({-0.5e-6})));
  CHECK(certain.d_chosen[0] == -1);
  CHECK(certain.d_rejected[0] == 0);
  // At the limit and below: 1/(1 − p) is a million, and half of that.
  const auto limit = loss.value_and_grad(means(array({-1e-6}), array({-1e-6})));
  CHECK(limit.d_chosen[0] == Approx(-1 - 0.5e6).epsilon(1e-5));
  CHECK(limit.d_rejected[0] == Approx(0.5e6).epsilon(1e-5));
  const auto below = loss.value_and_grad(means(array({-2e-6}), array({-2e-6})));
  CHECK(below.d_rejected[0] == Approx(0.25e6).epsilon(1e-5));
  // Rounding above 0 is forgiven, anything more is a mistake, for instance a negative log-likelihood.
  CHECK(loss(1e-7, -1.0) == Approx(loss(0.0, -1.0)).margin(1.01e-7));
  CHECK_THROWS_WITH(loss(0.5, -1.0), Catch::Contains("greater than 0"));
  CHECK_THROWS_AS(loss(means(array({-1, -1}), array({-1, 2}))), coho::argument_error);
}

TEST_CASE("ORPO falls as the chosen response gains and rises as the rejected does") {
  const orpo_loss loss;
  CHECK(loss(-1.0, -2.0) < loss(-1.1, -2.0));
  CHECK(loss(-1.0, -2.0) < loss(-1.0, -1.9));
}

TEST_CASE("ORPO leaves pairs of weight 0 out, NaN and all") {
  const auto x = array({-1, not_a_number});
  const auto result = orpo_loss{{.lambda = 1}}.value_and_grad(means(x, x, weights_type{array({1, 0})}));
  CHECK(result.value == Approx(1 + std::log(2.0)));
  CHECK(result.d_chosen[1] == 0);
  CHECK(result.d_rejected[1] == 0);
  CHECK_THROWS_AS(orpo_loss{}(means(x, x)), coho::argument_error);
  CHECK_THROWS_AS(orpo_loss{}(means(array({-infinity}), array({-1}))), coho::argument_error);
}

TEST_CASE("no pairs, unusable options and lengths of ORPO") {
  const Eigen::ArrayXd none, one = array({-1}), two = array({-1, -2});
  CHECK(orpo_loss{}(means(none, none)) == 0);
  CHECK(orpo_loss{}.value_and_grad(means(none, none)).d_rejected.size() == 0);
  for (const double lambda : {-0.1, not_a_number, infinity}) {
    CHECK_THROWS_WITH(orpo_loss({.lambda = lambda}), Catch::Contains("option lambda"));
  }
  CHECK_THROWS_WITH(orpo_loss{}(means(two, one)), Catch::Contains("rejected"));
  CHECK_THROWS_AS(orpo_loss{}(means(two, two, weights_type{one})), coho::argument_error);
}
