#include <cmath>
#include <vector>

#include <coho/loss/dpo.hpp>
#include <coho/loss/simpo.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/loss_inputs.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::simpo_loss;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

TEST_CASE("SimPO is ln 2 where the difference of rewards is the margin") {
  CHECK(simpo_loss{{.beta = 2, .gamma = 1}}(-1.0, -1.5) == Approx(std::log(2.0)).epsilon(1e-14));
  CHECK(simpo_loss{{.beta = 2.5, .gamma = 0}}(-1.0, -1.0) == Approx(std::log(2.0)).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("SimPO of one pair by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  // z = 2·1 − 0.5 = 1.5, and −2·1 − 0.5 = −2.5.
  const auto chosen = make<TestType>({-1, -2}), rejected = make<TestType>({-2, -1});
  const simpo_loss loss;
  const auto result = loss.value_and_grad(means(chosen, rejected));
  const double expected = (0.2014132780 + 2.5788897343) / 2;
  CHECK(result.value == Approx(expected).epsilon(1e-7));
  CHECK(loss(means(chosen, rejected)) == Approx(expected).epsilon(1e-7));
  CHECK(result.d_chosen[0] == Approx(-2 * 0.1824255238 / 2).epsilon(1e-6));
  CHECK(result.d_rejected[1] == Approx(2 * 0.9241418200 / 2).epsilon(1e-6));
  CHECK(result.accuracy == 0.5);
  CHECK(result.margin == Approx(0).margin(1e-12));
}

TEST_CASE("label smoothing of SimPO by hand") {
  CHECK(simpo_loss{{.label_smoothing = 0.1}}(-1.0, -2.0) == Approx(0.3514132780).epsilon(1e-9));
}

TEST_CASE("SimPO's gradients agree with central differences for every option") {
  const Eigen::ArrayXd chosen = -normals(15, 1, 2).abs(), rejected = -normals(15, 2, 2).abs();
  Eigen::ArrayXd factors = normals(15, 5).abs();
  factors[3] = 0;
  const weights_type weights{factors};
  for (const auto& options : {coho::simpo_options{}, coho::simpo_options{.beta = 10}, coho::simpo_options{.gamma = 1.6},
                              coho::simpo_options{.gamma = 0}, coho::simpo_options{.label_smoothing = 0.2}}) {
    const simpo_loss loss{options};
    const auto result = loss.value_and_grad(means(chosen, rejected, weights));
    CHECK(result.value == Approx(loss(means(chosen, rejected, weights))).epsilon(1e-12));
    CHECK(result.d_chosen[3] == 0);
    check_gradient(chosen, result.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(means(x, rejected, weights)); });
    check_gradient(rejected, result.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss(means(chosen, x, weights)); });
    const auto plain = loss.value_and_grad(means(chosen, rejected));
    check_gradient(chosen, plain.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(means(x, rejected)); });
    check_gradient(rejected, plain.d_rejected, [&](const Eigen::ArrayXd& x) { return loss(means(chosen, x)); });
  }
}

TEST_CASE("SimPO only sees differences, and without a margin is DPO without a reference") {
  const Eigen::ArrayXd chosen = normals(8, 1), rejected = normals(8, 2), zero = Eigen::ArrayXd::Zero(8);
  const simpo_loss loss;
  CHECK(loss(means(chosen - 3.0, rejected - 3.0)) == Approx(loss(means(chosen, rejected))).epsilon(1e-12));
  CHECK(simpo_loss{{.beta = 0.7, .gamma = 0}}(means(chosen, rejected)) ==
        Approx(coho::dpo_loss{{.beta = 0.7}}(with_reference(chosen, rejected, zero, zero))).epsilon(1e-14));
}

TEST_CASE("SimPO of extreme log-probs neither overflows nor loses small losses") {
  const simpo_loss loss{{.beta = 1, .gamma = 0}};
  CHECK(loss(-1e5, 0.0) == Approx(1e5));
  CHECK(loss(0.0, -1e5) == 0);
  CHECK(loss(0.0, -40.0) == Approx(std::exp(-40.0)));
  CHECK(loss.value_and_grad(means(array({0}), array({-40}))).d_chosen[0] == Approx(-std::exp(-40.0)));
}

TEST_CASE("SimPO leaves pairs of weight 0 out, NaN and all") {
  const auto x = array({-1, not_a_number});
  const auto result = simpo_loss{{.gamma = 0}}.value_and_grad(means(x, x, weights_type{array({1, 0})}));
  CHECK(result.value == Approx(std::log(2.0)));
  CHECK(result.d_chosen[1] == 0);
  CHECK(result.accuracy == 0.5);
  CHECK_THROWS_AS(simpo_loss{}(means(x, x)), coho::argument_error);
}

TEST_CASE("no pairs, unusable options and lengths of SimPO") {
  const Eigen::ArrayXd none, one = array({-1}), two = array({-1, -2});
  CHECK(simpo_loss{}(means(none, none)) == 0);
  CHECK(simpo_loss{}.value_and_grad(means(none, none)).value == 0);
  CHECK_THROWS_WITH(simpo_loss({.beta = 0}), Catch::Contains("option beta"));
  CHECK_THROWS_WITH(simpo_loss({.gamma = -1}), Catch::Contains("option gamma"));
  CHECK_THROWS_AS(simpo_loss({.gamma = not_a_number}), coho::option_error);
  CHECK_THROWS_WITH(simpo_loss({.label_smoothing = 0.5}), Catch::Contains("option label_smoothing"));
  CHECK_THROWS_AS(simpo_loss({.label_smoothing = -0.1}), coho::option_error);
  CHECK_THROWS_WITH(simpo_loss{}(means(two, one)), Catch::Contains("rejected"));
  CHECK_THROWS_AS(simpo_loss{}(means(two, two, weights_type{one})), coho::argument_error);
}
