#include <cmath>
#include <vector>

#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/loss_inputs.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::cpo_loss, coho::cpo_options, coho::dpo_form;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

namespace {

const std::vector<cpo_options> all_forms{{},
                                         {.beta = 0.5, .nll_coefficient = 0},
                                         {.form = dpo_form::hinge},
                                         {.beta = 0.5, .form = dpo_form::ipo},
                                         {.form = dpo_form::conservative, .label_smoothing = 0.2},
                                         {.form = dpo_form::robust, .label_smoothing = 0.2, .nll_coefficient = 0.3}};

}  // namespace

TEST_CASE("CPO of equal responses is ln 2 and the chosen response's negative log-likelihood") {
  const cpo_loss loss;
  CHECK(loss(-6.0, -6.0, 3.0) == Approx(std::log(2.0) + 2).epsilon(1e-14));
  CHECK(loss(-6.0, -6.0, 1.0) == Approx(std::log(2.0) + 6).epsilon(1e-14));
  CHECK(cpo_loss{{.nll_coefficient = 0.5}}(-6.0, -6.0, 3.0) == Approx(std::log(2.0) + 1).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("CPO of two pairs by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  // z = 1 and −1; a mean log-prob of −2 and −4.
  const auto chosen = make<TestType>({-10, -20}), rejected = make<TestType>({-20, -10});
  const std::vector<int> lengths{5, 5};
  const cpo_loss loss;
  const auto result = loss.value_and_grad(with_lengths(chosen, rejected, lengths));
  const double expected = (0.3132616875 + 2 + 1.3132616875 + 4) / 2;
  CHECK(result.value == Approx(expected).epsilon(1e-7));
  CHECK(loss(with_lengths(chosen, rejected, make<TestType>({5, 5}))) == Approx(expected).epsilon(1e-7));
  CHECK(result.d_chosen[0] == Approx((-0.1 * 0.2689414214 - 0.2) / 2).epsilon(1e-6));
  CHECK(result.d_rejected[1] == Approx(0.1 * 0.7310585786 / 2).epsilon(1e-6));
  CHECK(result.accuracy == 0.5);
  CHECK(result.margin == Approx(0).margin(1e-7));
  const cpo_loss hinge{{.form = dpo_form::hinge, .nll_coefficient = 0}};
  CHECK(hinge(with_lengths(chosen, rejected, lengths)) == Approx((0 + 2) / 2.0).margin(1e-6));
}

TEST_CASE("CPO in the form of IPO by hand") {
  // (3 − 1/(2·0.5))² and a mean log-prob of −2.
  CHECK(cpo_loss{{.beta = 0.5, .form = dpo_form::ipo}}(-2.0, -5.0, 1.0) == Approx(4 + 2));
}

TEST_CASE("CPO without its likelihood term is DPO with a uniform reference") {
  const Eigen::ArrayXd chosen = normals(8, 1, 4), rejected = normals(8, 2, 4), four = Eigen::ArrayXd::Constant(8, 4),
                       uniform = Eigen::ArrayXd::Constant(8, -30);
  for (auto options : all_forms) {
    options.nll_coefficient = 0;
    const coho::dpo_loss dpo{{.beta = options.beta, .form = options.form, .label_smoothing = options.label_smoothing}};
    CHECK(cpo_loss{options}(with_lengths(chosen, rejected, four)) ==
          Approx(dpo(with_reference(chosen, rejected, uniform, uniform))).epsilon(1e-10));
    CHECK(cpo_loss{options}(with_lengths(chosen + 2.0, rejected + 2.0, four)) ==
          Approx(cpo_loss{options}(with_lengths(chosen, rejected, four))).epsilon(1e-10));
  }
}

TEST_CASE("CPO's gradients agree with central differences for every option") {
  const Eigen::ArrayXd chosen = normals(15, 1, 4), rejected = normals(15, 2, 4);
  const Eigen::ArrayXd lengths = Eigen::ArrayXd::LinSpaced(15, 0, 14);
  Eigen::ArrayXd factors = normals(15, 5).abs();
  factors[3] = 0;
  const weights_type weights{factors};
  for (const auto& options : all_forms) {
    const cpo_loss loss{options};
    const auto result = loss.value_and_grad(with_lengths(chosen, rejected, lengths, weights));
    CHECK(result.value == Approx(loss(with_lengths(chosen, rejected, lengths, weights))).epsilon(1e-12));
    CHECK(result.d_chosen[3] == 0);
    check_gradient(chosen, result.d_chosen,
                   [&](const Eigen::ArrayXd& x) { return loss(with_lengths(x, rejected, lengths, weights)); });
    check_gradient(rejected, result.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss(with_lengths(chosen, x, lengths, weights)); });
    const auto plain = loss.value_and_grad(with_lengths(chosen, rejected, lengths));
    check_gradient(chosen, plain.d_chosen,
                   [&](const Eigen::ArrayXd& x) { return loss(with_lengths(x, rejected, lengths)); });
    check_gradient(rejected, plain.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss(with_lengths(chosen, x, lengths)); });
  }
}

TEST_CASE("the hinge of CPO from both sides of its kink") {
  const cpo_loss loss{{.beta = 1, .form = dpo_form::hinge, .nll_coefficient = 0}};
  const auto result =
      loss.value_and_grad(with_lengths(array({1 - 1e-9, 1, 1 + 1e-9}), array({0, 0, 0}), array({1, 1, 1})));
  CHECK(result.d_chosen[0] == Approx(-1.0 / 3));
  CHECK(result.d_chosen[1] == 0);
  CHECK(result.d_chosen[2] == 0);
}

TEST_CASE("an empty chosen response adds nothing to CPO's likelihood term") {
  CHECK(cpo_loss{}(0.0, 0.0, 0.0) == Approx(std::log(2.0)));
}

TEST_CASE("CPO of extreme log-probs neither overflows nor loses small losses") {
  const cpo_loss loss{{.beta = 1, .nll_coefficient = 0}};
  CHECK(loss(-1e5, 0.0, 1.0) == Approx(1e5));
  CHECK(loss(0.0, -1e5, 1.0) == 0);
  CHECK(loss(0.0, -40.0, 1.0) == Approx(std::exp(-40.0)));
}

TEST_CASE("CPO leaves pairs of weight 0 out, NaN and all") {
  const auto x = array({-1, not_a_number});
  const auto result = cpo_loss{}.value_and_grad(with_lengths(x, x, x, weights_type{array({1, 0})}));
  CHECK(result.value == Approx(std::log(2.0) + 1));
  CHECK(result.d_chosen[1] == 0);
  CHECK(result.d_rejected[1] == 0);
  CHECK_THROWS_AS(cpo_loss{}(with_lengths(x, x, array({1, 1}))), coho::argument_error);
}

TEST_CASE("no pairs, unusable options and lengths of CPO") {
  const Eigen::ArrayXd none, one = array({-1}), two = array({-1, -2});
  CHECK(cpo_loss{}(with_lengths(none, none, none)) == 0);
  CHECK(cpo_loss{}.value_and_grad(with_lengths(none, none, none)).value == 0);
  CHECK_THROWS_WITH(cpo_loss({.beta = 0}), Catch::Contains("option beta"));
  CHECK_THROWS_WITH(cpo_loss({.label_smoothing = 0.1}), Catch::Contains("option label_smoothing"));
  CHECK_THROWS_WITH(cpo_loss({.nll_coefficient = -1}), Catch::Contains("option nll_coefficient"));
  CHECK_THROWS_AS(cpo_loss({.nll_coefficient = not_a_number}), coho::option_error);
  CHECK_THROWS_WITH(cpo_loss{}(with_lengths(two, one, two)), Catch::Contains("rejected"));
  CHECK_THROWS_WITH(cpo_loss{}(with_lengths(two, two, one)), Catch::Contains("chosen_tokens"));
  CHECK_THROWS_WITH(cpo_loss{}({.chosen = two, .rejected = two}), Catch::Contains("chosen_tokens"));
  CHECK_THROWS_AS(cpo_loss{}(with_lengths(two, two, two, weights_type{one})), coho::argument_error);
}
