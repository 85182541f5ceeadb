#include <cmath>
#include <vector>

#include <coho/loss/bradley_terry.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::bradley_terry_loss, coho::make_token_weights, coho::pair_margins;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

TEST_CASE("a fresh reward model starts at ln 2") { CHECK(bradley_terry_loss{}(0.0, 0.0) == Approx(std::log(2.0))); }

TEMPLATE_TEST_CASE("differences 0, 1 and 2 by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  // -log sigmoid of 0, 1, 2.
  const auto r = make<TestType>({1, 3, 5}), s = make<TestType>({1, 2, 3});
  const auto result = bradley_terry_loss{}.value_and_grad(r, s);
  CHECK(result.value == Approx((0.6931471806 + 0.3132616875 + 0.1269280110) / 3).epsilon(1e-6));
  CHECK(bradley_terry_loss{}(r, s) == Approx(result.value));
  CHECK(result.d_chosen[0] == Approx(-0.5 / 3));
  CHECK(result.d_rejected[1] == Approx(0.2689414214 / 3).epsilon(1e-6));
  CHECK(result.accuracy == Approx(2.5 / 3));
}

TEST_CASE("extreme differences neither overflow nor vanish") {
  const bradley_terry_loss loss;
  CHECK(loss(0.0, 5000.0) == Approx(5000));
  CHECK(loss(5000.0, 0.0) == 0);
  CHECK(loss(40.0, 0.0) == Approx(std::exp(-40.0)));
  const auto result = loss.value_and_grad(array({40, -5000}), array({0, 0}));
  CHECK(result.d_chosen[0] == Approx(-0.5 * std::exp(-40.0)));
  CHECK(result.d_chosen[1] == Approx(-0.5));
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
  CHECK(tie.d_chosen[0] == Approx(0).margin(1e-15));
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
    check_gradient(r, result.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(x, s, weights, targets); });
    check_gradient(s, result.d_rejected, [&](const Eigen::ArrayXd& x) { return loss(r, x, weights, targets); });
    const auto plain = loss.value_and_grad(r, s);
    check_gradient(r, plain.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(x, s); });
    check_gradient(s, plain.d_rejected, [&](const Eigen::ArrayXd& x) { return loss(r, x); });
  }
}

TEST_CASE("pairs of weight 0 are left out, NaN and all") {
  const auto weights = make_token_weights(flags{1, 0}, offsets{0, 2});
  const auto result = bradley_terry_loss{}.value_and_grad(array({0, not_a_number}), array({0, not_a_number}), weights);
  CHECK(result.value == Approx(std::log(2.0)));
  CHECK(result.d_chosen[1] == 0);
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

TEMPLATE_TEST_CASE("margins of pairs by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  // -log sigmoid of 1 - 1, 3 - 2 and 1 + 1.
  const auto r = make<TestType>({2, 4, 1}), s = make<TestType>({1, 1, 0}), m = make<TestType>({1, 2, -1});
  const auto result = bradley_terry_loss{}.value_and_grad(r, s, pair_margins{m});
  CHECK(result.value == Approx((0.6931471806 + 0.3132616875 + 0.1269280110) / 3).epsilon(1e-6));
  CHECK(bradley_terry_loss{}(r, s, pair_margins{m}) == Approx(result.value).epsilon(1e-12));
  CHECK(result.d_chosen[0] == Approx(-0.5 / 3));
  CHECK(result.d_rejected[1] == Approx(0.2689414214 / 3).epsilon(1e-6));
  CHECK(result.d_chosen[2] == Approx(-0.1192029220 / 3).epsilon(1e-6));
  CHECK(result.accuracy == 1);  // of the scores alone: the margin of the first pair makes it no tie

  const weights_type weights{array({0.5, 0.25, 0.25})};
  const double weighted = 0.5 * 0.6931471806 + 0.25 * (0.3132616875 + 0.1269280110);
  CHECK(bradley_terry_loss{}(r, s, weights, pair_margins{m}) == Approx(weighted).epsilon(1e-6));
  CHECK(bradley_terry_loss{}.value_and_grad(r, s, weights, pair_margins{m}).value == Approx(weighted).epsilon(1e-6));
  // Targets 1, 0 and 0.5: softplus of 0, of 1 and the mean of softplus of -2 and 2.
  const auto t = make<TestType>({1, 0, 0.5});
  const double mixed = 0.5 * 0.6931471806 + 0.25 * (1.3132616875 + 0.5 * (0.1269280110 + 2.1269280110));
  CHECK(bradley_terry_loss{}(r, s, weights, t, pair_margins{m}) == Approx(mixed).epsilon(1e-6));
  CHECK(bradley_terry_loss{}.value_and_grad(r, s, weights, t, pair_margins{m}).value == Approx(mixed).epsilon(1e-6));
}

TEST_CASE("the margin of one pair, and one for all, add to the option's") {
  CHECK(bradley_terry_loss{}(3.0, 1.0, pair_margins{1.0}) == Approx(0.3132616875));
  CHECK(bradley_terry_loss{{.margin = 0.75}}(3.0, 1.0, pair_margins{0.25}) == Approx(0.3132616875));
  CHECK(bradley_terry_loss{{.margin = 0.75}}(3.0F, 1.0F, pair_margins{0.25F}) == Approx(0.3132616875));
  const Eigen::ArrayXd r = normals(8, 1), s = normals(8, 2), m = normals(8, 3).abs();
  const auto by_option = bradley_terry_loss{{.margin = 0.7}}.value_and_grad(r, s);
  const auto by_number = bradley_terry_loss{}.value_and_grad(r, s, pair_margins{0.7});
  CHECK(by_number.value == Approx(by_option.value).epsilon(1e-14));
  CHECK(by_number.d_chosen.isApprox(by_option.d_chosen, 1e-14));
  CHECK(bradley_terry_loss{{.margin = 0.7}}(r, s, pair_margins{m}) ==
        Approx(bradley_terry_loss{}(r, s, pair_margins{m + 0.7})).epsilon(1e-12));
}

TEST_CASE("margins move the difference of the scores and not their sum") {
  const Eigen::ArrayXd r = normals(9, 1), s = normals(9, 2), m = normals(9, 3), t = Eigen::ArrayXd::LinSpaced(9, 0, 1);
  CHECK(bradley_terry_loss{}(r, s, pair_margins{m}) == Approx(bradley_terry_loss{}(r - m, s)).epsilon(1e-12));
  const bradley_terry_loss centred{{.centring = 0.3}};
  CHECK(centred(r, s, pair_margins{m}) - bradley_terry_loss{}(r, s, pair_margins{m}) ==
        Approx(0.3 * (r + s).square().mean()).epsilon(1e-12));
  // Responses of a pair change places: target and margin turn with them.
  const weights_type weights{normals(9, 4).abs()};
  const bradley_terry_loss loss{{.label_smoothing = 0.1, .centring = 0.3}};
  CHECK(loss(s, r, weights, 1 - t, pair_margins{-m}) == Approx(loss(r, s, weights, t, pair_margins{m})).epsilon(1e-12));
  // A larger margin asks for more.
  CHECK(bradley_terry_loss{}(r, s, pair_margins{m + 1.0}) > bradley_terry_loss{}(r, s, pair_margins{m}));
}

TEST_CASE("gradients with margins of pairs agree with central differences for every option") {
  const Eigen::ArrayXd r = normals(12, 1, 2), s = normals(12, 2, 2), m = normals(12, 3),
                       targets = Eigen::ArrayXd::LinSpaced(12, 0, 1);
  const pair_margins margins{m};
  weights_type weights{normals(12, 5).abs()};
  weights.values[4] = 0;
  for (const auto& options :
       {coho::bradley_terry_options{}, coho::bradley_terry_options{.margin = 0.5},
        coho::bradley_terry_options{.label_smoothing = 0.2}, coho::bradley_terry_options{.centring = 0.1}}) {
    const bradley_terry_loss loss{options};
    const auto mean = loss.value_and_grad(r, s, margins);
    check_gradient(r, mean.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(x, s, margins); });
    check_gradient(s, mean.d_rejected, [&](const Eigen::ArrayXd& x) { return loss(r, x, margins); });
    const auto weighted = loss.value_and_grad(r, s, weights, margins);
    check_gradient(r, weighted.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(x, s, weights, margins); });
    const auto result = loss.value_and_grad(r, s, weights, targets, margins);
    CHECK(result.value == Approx(loss(r, s, weights, targets, margins)).epsilon(1e-12));
    CHECK(result.d_rejected[4] == 0);
    check_gradient(r, result.d_chosen, [&](const Eigen::ArrayXd& x) { return loss(x, s, weights, targets, margins); });
    check_gradient(s, result.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss(r, x, weights, targets, margins); });
  }
}

TEST_CASE("margins that do not fit are refused by name, and those of weight 0 are not read") {
  const bradley_terry_loss loss;
  const Eigen::ArrayXd r = array({1, 2}), s = array({0, 0});
  CHECK_THROWS_WITH(loss(r, s, pair_margins{array({1})}), ContainsSubstring("margins"));
  CHECK_THROWS_AS(loss(r, s, pair_margins{array({1})}), coho::argument_error);
  CHECK_THROWS_AS(loss.value_and_grad(r, s, pair_margins{array({1, 2, 3})}), coho::argument_error);
  CHECK_THROWS_AS(loss.value_and_grad(r, s, make_token_weights(offsets{0, 2}), r, pair_margins{array({})}),
                  coho::argument_error);
  for (const double bad : {not_a_number, infinity, -infinity}) {
    CHECK_THROWS_WITH(loss(r, s, pair_margins{array({0, bad})}), ContainsSubstring("not finite"));
    CHECK_THROWS_AS(loss.value_and_grad(r, s, pair_margins{bad}), coho::argument_error);
    const weights_type weights{array({1, 0})};
    const auto result = loss.value_and_grad(r, s, weights, pair_margins{array({1, bad})});
    CHECK(result.value == Approx(std::log(2.0)));
    CHECK(result.d_chosen[1] == 0);
  }
  const Eigen::ArrayXd none;
  CHECK(loss(none, none, pair_margins{none}) == 0);
  CHECK(loss.value_and_grad(none, none, pair_margins{none}).value == 0);
}
