#include <cmath>
#include <string>
#include <vector>

#include <coho/loss/dpo.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/loss_inputs.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::dpo_form, coho::dpo_loss, coho::dpo_options;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

namespace {

const std::vector<dpo_options> dpo_forms{{.beta = 0.3},
                                         {.beta = 0.3, .form = dpo_form::hinge},
                                         {.beta = 0.3, .form = dpo_form::ipo},
                                         {.beta = 0.3, .form = dpo_form::conservative, .label_smoothing = 0.2},
                                         {.beta = 0.3, .form = dpo_form::robust, .label_smoothing = 0.2}};

}  // namespace

TEST_CASE("a fresh DPO run starts at loss ln 2") {
  CHECK(dpo_loss{}(-5.0, -7.0, -5.0, -7.0) == Approx(std::log(2.0)).epsilon(1e-14));
  const Eigen::ArrayXd policy = normals(6, 1, 9), rejected = normals(6, 2, 9);
  CHECK(dpo_loss{}(with_reference(policy, rejected, policy, rejected)) == Approx(std::log(2.0)).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("peers' values of DPO: logit differences 0, 10 and 20 at β 0.1", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const auto chosen = make<TestType>({-30, -20, -10}), rejected = make<TestType>({-40, -40, -40});
  const auto reference_chosen = make<TestType>({-25, -25, -25}), reference_rejected = make<TestType>({-35, -35, -35});
  const double sigmoid[] = {0.6931, 0.3133, 0.1269}, hinge[] = {1, 0, 0};
  for (int i = 0; i < 3; ++i) {
    const double p = chosen[i], o = rejected[i];
    CHECK(dpo_loss{{.beta = 0.1}}(p, o, -25.0, -35.0) == Approx(sigmoid[i]).margin(5e-5));
    CHECK(dpo_loss{{.beta = 0.1, .form = dpo_form::hinge}}(p, o, -25.0, -35.0) == Approx(hinge[i]).margin(1e-12));
  }
  const dpo_loss loss;
  const auto result = loss.value_and_grad(with_reference(chosen, rejected, reference_chosen, reference_rejected));
  CHECK(result.value == Approx((0.6931471806 + 0.3132616875 + 0.1269280110) / 3).epsilon(1e-6));
  CHECK(loss(with_reference(chosen, rejected, reference_chosen, reference_rejected)) ==
        Approx(result.value).epsilon(1e-12));
  CHECK(result.d_chosen[0] == Approx(-0.1 * 0.5 / 3));
  CHECK(result.d_rejected[1] == Approx(0.1 * 0.2689414214 / 3).epsilon(1e-6));
  CHECK(result.accuracy == Approx(2.5 / 3));
  CHECK(result.margin == Approx(1).epsilon(1e-6));
  const dpo_loss flat{{.form = dpo_form::hinge}};
  CHECK(flat(with_reference(chosen, rejected, reference_chosen, reference_rejected)) == Approx(1.0 / 3).epsilon(1e-6));
}

TEST_CASE("IPO, conservative and robust DPO by hand") {
  // The square of a log-ratio difference of 3, less 1/(2·0.5).
  CHECK(dpo_loss{{.beta = 0.5, .form = dpo_form::ipo}}(-2.0, -5.0, 0.0, 0.0) == Approx(4));
  CHECK(dpo_loss{{.beta = 0.1, .form = dpo_form::ipo}}(-5.0, -5.0, -5.0, -5.0) == Approx(25));
  // z = 1: log σ(1) = −0.31326, log σ(−1) = −1.31326.
  const dpo_loss conservative{{.beta = 1, .form = dpo_form::conservative, .label_smoothing = 0.1}};
  CHECK(conservative(-1.0, -2.0, 0.0, 0.0) == Approx(0.4132616875).epsilon(1e-9));
  const dpo_loss robust{{.beta = 1, .form = dpo_form::robust, .label_smoothing = 0.1}};
  CHECK(robust(-1.0, -2.0, 0.0, 0.0) == Approx(0.1882616875).epsilon(1e-9));
}

TEST_CASE("conservative and robust DPO without noise are DPO") {
  for (const double chosen : {-9.0, -3.0, 4.0}) {
    const double expected = dpo_loss{}(chosen, -3.0, -1.0, -2.0);
    CHECK(dpo_loss{{.form = dpo_form::conservative}}(chosen, -3.0, -1.0, -2.0) == Approx(expected).epsilon(1e-14));
    CHECK(dpo_loss{{.form = dpo_form::robust}}(chosen, -3.0, -1.0, -2.0) == Approx(expected).epsilon(1e-14));
  }
}

TEST_CASE("robust DPO is unbiased under flipped labels and conservative DPO is not") {
  const double epsilon = 0.3;
  const dpo_loss clean{{.beta = 0.5}};
  const auto noisy = [&](dpo_form form, double p, double o) {
    const dpo_loss loss{{.beta = 0.5, .form = form, .label_smoothing = epsilon}};
    return (1 - epsilon) * loss(p, o, -1.0, -2.0) + epsilon * loss(o, p, -2.0, -1.0);
  };
  for (const double p : {-8.0, -1.0, 0.0, 3.0}) {
    const double expected = clean(p, -3.0, -1.0, -2.0);
    CHECK(noisy(dpo_form::robust, p, -3.0) == Approx(expected).epsilon(1e-12));
    CHECK(std::abs(noisy(dpo_form::conservative, p, -3.0) - expected) > 0.01);
  }
}

TEST_CASE("conservative DPO is least where the model believes the noise") {
  // σ(z) = 1 − ε.
  const dpo_loss loss{{.beta = 1, .form = dpo_form::conservative, .label_smoothing = 0.2}};
  const auto at = loss.value_and_grad(with_reference(array({std::log(4.0)}), array({0}), array({0}), array({0})));
  CHECK(at.d_chosen[0] == Approx(0).margin(1e-15));
  CHECK(loss(1.5, 0.0, 0.0, 0.0) > at.value);
  CHECK(loss(1.3, 0.0, 0.0, 0.0) > at.value);
}

TEST_CASE("gradients of every DPO form agree with central differences") {
  const Eigen::ArrayXd chosen = normals(15, 1, 4), rejected = normals(15, 2, 4), r = normals(15, 3, 4),
                       s = normals(15, 4, 4);
  Eigen::ArrayXd factors = normals(15, 5).abs();
  factors[3] = 0;
  const weights_type weights{factors};
  for (const auto& options : dpo_forms) {
    const dpo_loss loss{options};
    const auto result = loss.value_and_grad(with_reference(chosen, rejected, r, s, weights));
    CHECK(result.value == Approx(loss(with_reference(chosen, rejected, r, s, weights))).epsilon(1e-12));
    CHECK(result.d_chosen[3] == 0);
    check_gradient(chosen, result.d_chosen,
                   [&](const Eigen::ArrayXd& x) { return loss(with_reference(x, rejected, r, s, weights)); });
    check_gradient(rejected, result.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss(with_reference(chosen, x, r, s, weights)); });
    const auto plain = loss.value_and_grad(with_reference(chosen, rejected, r, s));
    check_gradient(chosen, plain.d_chosen,
                   [&](const Eigen::ArrayXd& x) { return loss(with_reference(x, rejected, r, s)); });
    check_gradient(rejected, plain.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss(with_reference(chosen, x, r, s)); });
  }
}

TEST_CASE("the hinge of DPO from both sides of its kink") {
  const dpo_loss loss{{.beta = 1, .form = dpo_form::hinge}};
  const Eigen::ArrayXd zero = Eigen::ArrayXd::Zero(3), chosen = array({1 - 1e-9, 1, 1 + 1e-9});
  const auto result = loss.value_and_grad(with_reference(chosen, zero, zero, zero));
  CHECK(result.d_chosen[0] == Approx(-1.0 / 3));
  CHECK(result.d_rejected[0] == Approx(1.0 / 3));
  CHECK(result.d_chosen[1] == 0);
  CHECK(result.d_chosen[2] == 0);
  CHECK(loss(0.75, 0.0, 0.0, 0.0) == 0.25);
  CHECK(loss(1.0, 0.0, 0.0, 0.0) == 0);
  CHECK(loss(1.25, 0.0, 0.0, 0.0) == 0);
}

TEST_CASE("DPO only sees differences of log-ratios") {
  const Eigen::ArrayXd chosen = normals(8, 1, 4), rejected = normals(8, 2, 4), r = normals(8, 3, 4),
                       s = normals(8, 4, 4);
  for (const auto& options : dpo_forms) {
    const dpo_loss loss{options};
    const double expected = loss(with_reference(chosen, rejected, r, s));
    CHECK(loss(with_reference(chosen + 3.0, rejected, r + 3.0, s)) == Approx(expected).epsilon(1e-10));
    CHECK(loss(with_reference(chosen - 2.0, rejected - 2.0, r, s)) == Approx(expected).epsilon(1e-10));
    CHECK(loss(with_reference(chosen, rejected, r, s + 1.0)) != Approx(expected).epsilon(1e-3));
    const auto result = loss.value_and_grad(with_reference(chosen, rejected, r, s));
    CHECK((result.d_chosen + result.d_rejected).abs().maxCoeff() == 0);
  }
}

TEST_CASE("DPO of extreme log-probs neither overflows nor loses small losses") {
  const dpo_loss loss{{.beta = 1}};
  CHECK(loss(-1e5, 0.0, 0.0, 0.0) == Approx(1e5));
  CHECK(loss(1e5, 0.0, 0.0, 0.0) == 0);
  CHECK(loss(40.0, 0.0, 0.0, 0.0) == Approx(std::exp(-40.0)));
  for (const auto& options : dpo_forms) {
    const auto zero = Eigen::ArrayXd::Zero(2);
    const auto result = dpo_loss{options}.value_and_grad(with_reference(array({-1e6, 1e6}), zero, zero, zero));
    CHECK(std::isfinite(result.value));
    CHECK(result.d_chosen.isFinite().all());
  }
  const auto small = loss.value_and_grad(with_reference(array({40}), array({0}), array({0}), array({0})));
  CHECK(small.d_chosen[0] == Approx(-std::exp(-40.0)));
}

TEST_CASE("DPO leaves pairs of weight 0 out, NaN and all") {
  const auto x = array({1, not_a_number}), zero = array({0, not_a_number});
  for (const auto& options : dpo_forms) {
    const dpo_loss loss{options};
    const auto result = loss.value_and_grad(with_reference(x, zero, zero, zero, weights_type{array({1, 0})}));
    CHECK(result.value == Approx(loss(1.0, 0.0, 0.0, 0.0)));
    CHECK(result.d_chosen[1] == 0);
    CHECK(result.d_rejected[1] == 0);
    CHECK(result.margin == Approx(0.3));
    CHECK(result.accuracy == 1);
    CHECK_THROWS_AS(loss(with_reference(x, zero, zero, zero)), coho::argument_error);
  }
}

TEST_CASE("DPO takes its arrays by name, and a forgotten reference is refused by name") {
  const Eigen::ArrayXd p = array({-3, -1}), o = array({-2, -4}), r = array({-2, -2}), s = array({-1, -1});
  const dpo_loss loss;
  const auto named = loss.value_and_grad({.chosen = p,
                                          .rejected = o,
                                          .reference_chosen = r,
                                          .reference_rejected = s,
                                          .weights = weights_type{array({0.5, 0.5})}});
  CHECK(named.value == Approx((loss(-3.0, -2.0, -2.0, -1.0) + loss(-1.0, -4.0, -2.0, -1.0)) / 2).epsilon(1e-14));
  CHECK_THROWS_WITH(loss({.chosen = p, .rejected = o, .reference_rejected = s}), Catch::Contains("reference_chosen"));
  CHECK_THROWS_WITH(loss({.chosen = p, .rejected = o, .reference_chosen = r}), Catch::Contains("reference_rejected"));
}

TEST_CASE("no pairs, unusable options and lengths of DPO") {
  const Eigen::ArrayXd none, one = array({1}), two = array({1, 2});
  CHECK(dpo_loss{}(with_reference(none, none, none, none)) == 0);
  const auto empty = dpo_loss{}.value_and_grad(with_reference(none, none, none, none));
  CHECK(empty.value == 0);
  CHECK(empty.accuracy == 0);
  CHECK(empty.d_chosen.size() == 0);
  for (const double beta : {0.0, -1.0, not_a_number, infinity}) {
    CHECK_THROWS_WITH(dpo_loss({.beta = beta}), Catch::Contains("option beta"));
  }
  CHECK_THROWS_WITH(dpo_loss({.label_smoothing = 0.1}), Catch::Contains("label_smoothing"));
  CHECK_THROWS_AS(dpo_loss({.form = dpo_form::hinge, .label_smoothing = 0.1}), coho::option_error);
  CHECK_THROWS_AS(dpo_loss({.form = dpo_form::robust, .label_smoothing = 0.5}), coho::option_error);
  CHECK_THROWS_AS(dpo_loss({.form = dpo_form::robust, .label_smoothing = -0.1}), coho::option_error);
  CHECK_THROWS_AS(dpo_loss({.form = dpo_form::robust, .label_smoothing = not_a_number}), coho::option_error);
  CHECK_THROWS_WITH(dpo_loss{}(with_reference(two, one, two, two)), Catch::Contains("rejected"));
  CHECK_THROWS_WITH(dpo_loss{}(with_reference(two, two, one, two)), Catch::Contains("reference_chosen"));
  CHECK_THROWS_WITH(dpo_loss{}(with_reference(two, two, two, one)), Catch::Contains("reference_rejected"));
  CHECK_THROWS_AS(dpo_loss{}(with_reference(two, two, two, two, weights_type{one})), coho::argument_error);
}
