#include <cmath>
#include <coho/loss/bradley_terry.hpp>
#include <vector>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::bradley_terry_loss, coho::make_token_weights;

TEST_CASE("a fresh reward model starts at ln 2") { CHECK(bradley_terry_loss{}(0.0, 0.0) == Approx(std::log(2.0))); }

TEMPLATE_TEST_CASE("differences 0, 1 and 2 by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  // -log sigmoid of 0, 1, 2.
  const auto r = make<TestType>({1, 3, 5}), s = make<TestType>({1, 2, 3});
  const auto result = bradley_terry_loss{}.value_and_grad(r, s);
  CHECK(result.value == Approx((0.6931471806 + 0.3132616875 + 0.1269280110) / 3).epsilon(1e-6));
  CHECK(bradley_terry_loss{}(r, s) == Approx(result.value));
  CHECK(result.d_preferred[0] == Approx(-0.5 / 3));
  CHECK(result.d_other[1] == Approx(0.2689414214 / 3).epsilon(1e-6));
  CHECK(result.accuracy == Approx(2.5 / 3));
}

TEST_CASE("extreme differences neither overflow nor vanish") {
  const bradley_terry_loss loss;
  CHECK(loss(0.0, 5000.0) == Approx(5000));
  CHECK(loss(5000.0, 0.0) == 0);
  CHECK(loss(40.0, 0.0) == Approx(std::exp(-40.0)));
  const auto result = loss.value_and_grad(array({40, -5000}), array({0, 0}));
  CHECK(result.d_preferred[0] == Approx(-0.5 * std::exp(-40.0)));
  CHECK(result.d_preferred[1] == Approx(-0.5));
}

TEST_CASE("the loss only sees differences unless centred") {
  const Eigen::ArrayXd r = normals(9, 1), s = normals(9, 2);
  CHECK(bradley_terry_loss{}(r + 7.0, s + 7.0) == Approx(bradley_terry_loss{}(r, s)).epsilon(1e-12));
  const bradley_terry_loss centred{{.centring = 0.01}};
  CHECK(centred(r, s) == Approx(bradley_terry_loss{}(r, s) + 0.01 * (r + s).square().mean()).epsilon(1e-12));
}

TEST_CASE("margin, label smoothing and ties by hand") {
  CHECK(bradley_terry_loss{{.margin = 1}}(3.0, 1.0) == Approx(0.3132616875));
  // 0.9 softplus(-1) + 0.1 softplus(1)
  CHECK(bradley_terry_loss{{.label_smoothing = 0.1}}(1.0, 0.0) == Approx(0.9 * 0.3132616875 + 0.1 * 1.3132616875));
  const auto weights = make_token_weights(offsets{0, 2});
  const Eigen::ArrayXd r = array({1, 1}), s = array({0, 0});
  CHECK(bradley_terry_loss{}(r, s, weights, array({0.5, 0})) ==
        Approx(0.5 * (0.5 * (0.3132616875 + 1.3132616875) + 1.3132616875)));
  const auto tie =
      bradley_terry_loss{}.value_and_grad(array({2}), array({2}), make_token_weights(offsets{0, 1}), array({0.5}));
  CHECK(tie.d_preferred[0] == Approx(0).margin(1e-15));
  CHECK(tie.accuracy == 0.5);
}

TEST_CASE("gradients agree with central differences for every option") {
  const Eigen::ArrayXd r = normals(15, 1, 2), s = normals(15, 2, 2), targets = Eigen::ArrayXd::LinSpaced(15, 0, 1);
  flags mask(15, 1);
  mask[4] = 0;
  const auto weights = make_token_weights(mask, offsets{0, 15});
  for (const auto& options :
       {coho::bradley_terry_options{}, coho::bradley_terry_options{.margin = 0.5},
        coho::bradley_terry_options{.label_smoothing = 0.2}, coho::bradley_terry_options{.centring = 0.1}}) {
    const bradley_terry_loss loss{options};
    const auto result = loss.value_and_grad(r, s, weights, targets);
    CHECK(result.value == Approx(loss(r, s, weights, targets)).epsilon(1e-12));
    check_gradient(r, result.d_preferred, [&](const Eigen::ArrayXd& x) { return loss(x, s, weights, targets); });
    check_gradient(s, result.d_other, [&](const Eigen::ArrayXd& x) { return loss(r, x, weights, targets); });
    const auto plain = loss.value_and_grad(r, s);
    check_gradient(r, plain.d_preferred, [&](const Eigen::ArrayXd& x) { return loss(x, s); });
    check_gradient(s, plain.d_other, [&](const Eigen::ArrayXd& x) { return loss(r, x); });
  }
}

TEST_CASE("pairs of weight 0 are left out, NaN and all") {
  const auto weights = make_token_weights(flags{1, 0}, offsets{0, 2});
  const auto result = bradley_terry_loss{}.value_and_grad(array({0, not_a_number}), array({0, not_a_number}), weights);
  CHECK(result.value == Approx(std::log(2.0)));
  CHECK(result.d_preferred[1] == 0);
  CHECK_THROWS_AS(bradley_terry_loss{}(array({not_a_number}), array({0})), coho::argument_error);
}

TEST_CASE("mistake 8: parts of a batch of pairs add up") {
  const Eigen::ArrayXd r = normals(7, 1), s = normals(7, 2);
  const double parts =
      bradley_terry_loss{}(r.head(3), s.head(3), make_token_weights(offsets{0, 3}, {.token_normalizer = 7})) +
      bradley_terry_loss{}(r.tail(4), s.tail(4), make_token_weights(offsets{0, 4}, {.token_normalizer = 7}));
  CHECK(parts == Approx(bradley_terry_loss{}(r, s)).epsilon(1e-12));
}

TEST_CASE("no pairs, unusable options and lengths") {
  CHECK(bradley_terry_loss{}(Eigen::ArrayXd(), Eigen::ArrayXd()) == 0);
  CHECK(bradley_terry_loss{}.value_and_grad(Eigen::ArrayXd(), Eigen::ArrayXd()).value == 0);
  CHECK_THROWS_AS(bradley_terry_loss({.margin = not_a_number}), coho::option_error);
  CHECK_THROWS_AS(bradley_terry_loss({.label_smoothing = 0.5}), coho::option_error);
  CHECK_THROWS_AS(bradley_terry_loss({.label_smoothing = -0.1}), coho::option_error);
  CHECK_THROWS_AS(bradley_terry_loss({.centring = -1}), coho::option_error);
  CHECK_THROWS_AS(bradley_terry_loss{}(array({1, 2}), array({1})), coho::argument_error);
  CHECK_THROWS_AS(bradley_terry_loss{}(array({1}), array({1}), make_token_weights(offsets{0, 2})),
                  coho::argument_error);
  CHECK_THROWS_AS(bradley_terry_loss{}(array({1}), array({1}), make_token_weights(offsets{0, 1}), array({1, 1})),
                  coho::argument_error);
}
