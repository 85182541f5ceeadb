#include <cmath>
#include <vector>

#include <coho/loss/bradley_terry.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::bradley_terry_loss, coho::make_token_weights;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

TEST_CASE("a fresh reward model starts at ln 2") { CHECK(bradley_terry_loss{}(0.0, 0.0) == Approx(std::log(2.0))); }

TEMPLATE_TEST_CASE("differences 0, 1 and 2 by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::pair_loss_inputs<typename TestType::value_type>;
  // -log sigmoid of 0, 1, 2.
  const auto r = make<TestType>({1, 3, 5}), s = make<TestType>({1, 2, 3});
  const auto result = bradley_terry_loss{}.value_and_grad(inputs{.chosen = r, .rejected = s});
  CHECK(result.value == Approx((0.6931471806 + 0.3132616875 + 0.1269280110) / 3).epsilon(1e-6));
  CHECK(bradley_terry_loss{}(inputs{.chosen = r, .rejected = s}) == Approx(result.value));
  CHECK(result.d_chosen[0] == Approx(-0.5 / 3));
  CHECK(result.d_rejected[1] == Approx(0.2689414214 / 3).epsilon(1e-6));
  CHECK(result.accuracy == Approx(2.5 / 3));
}

TEST_CASE("extreme differences neither overflow nor vanish") {
  const bradley_terry_loss loss;
  CHECK(loss(0.0, 5000.0) == Approx(5000));
  CHECK(loss(5000.0, 0.0) == 0);
  CHECK(loss(40.0, 0.0) == Approx(std::exp(-40.0)));
  const auto result = loss.value_and_grad({.chosen = array({40, -5000}), .rejected = array({0, 0})});
  CHECK(result.d_chosen[0] == Approx(-0.5 * std::exp(-40.0)));
  CHECK(result.d_chosen[1] == Approx(-0.5));
}

TEST_CASE("the loss only sees differences unless centred") {
  const Eigen::ArrayXd r = normals(9, 1), s = normals(9, 2);
  CHECK(bradley_terry_loss{}({.chosen = r + 7.0, .rejected = s + 7.0}) ==
        Approx(bradley_terry_loss{}({.chosen = r, .rejected = s})).epsilon(1e-12));
  const bradley_terry_loss centred{{.centring = 0.01}};
  CHECK(centred({.chosen = r, .rejected = s}) ==
        Approx(bradley_terry_loss{}({.chosen = r, .rejected = s}) + 0.01 * (r + s).square().mean()).epsilon(1e-12));
}

TEST_CASE("margin, label smoothing and ties by hand") {
  CHECK(bradley_terry_loss{{.margin = 1}}(3.0, 1.0) == Approx(0.3132616875));
  // 0.9 softplus(-1) + 0.1 softplus(1)
  CHECK(bradley_terry_loss{{.label_smoothing = 0.1}}(1.0, 0.0) == Approx(0.9 * 0.3132616875 + 0.1 * 1.3132616875));
  const auto weights = make_token_weights(offsets{0, 2});
  const Eigen::ArrayXd r = array({1, 1}), s = array({0, 0});
  CHECK(bradley_terry_loss{}({.chosen = r, .rejected = s, .targets = array({0.5, 0}), .weights = weights}) ==
        Approx(0.5 * (0.5 * (0.3132616875 + 1.3132616875) + 1.3132616875)));
  const auto tie = bradley_terry_loss{}.value_and_grad({.chosen = array({2}),
                                                        .rejected = array({2}),
                                                        .targets = array({0.5}),
                                                        .weights = make_token_weights(offsets{0, 1})});
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
    const auto result = loss.value_and_grad({.chosen = r, .rejected = s, .targets = targets, .weights = weights});
    CHECK(result.value ==
          Approx(loss({.chosen = r, .rejected = s, .targets = targets, .weights = weights})).epsilon(1e-12));
    check_gradient(r, result.d_chosen, [&](const Eigen::ArrayXd& x) {
      return loss({.chosen = x, .rejected = s, .targets = targets, .weights = weights});
    });
    check_gradient(s, result.d_rejected, [&](const Eigen::ArrayXd& x) {
      return loss({.chosen = r, .rejected = x, .targets = targets, .weights = weights});
    });
    const auto plain = loss.value_and_grad({.chosen = r, .rejected = s});
    check_gradient(r, plain.d_chosen, [&](const Eigen::ArrayXd& x) { return loss({.chosen = x, .rejected = s}); });
    check_gradient(s, plain.d_rejected, [&](const Eigen::ArrayXd& x) { return loss({.chosen = r, .rejected = x}); });
  }
}

TEST_CASE("pairs of weight 0 are left out, NaN and all") {
  const auto weights = make_token_weights(flags{1, 0}, offsets{0, 2});
  const auto result = bradley_terry_loss{}.value_and_grad(
      {.chosen = array({0, not_a_number}), .rejected = array({0, not_a_number}), .weights = weights});
  CHECK(result.value == Approx(std::log(2.0)));
  CHECK(result.d_chosen[1] == 0);
  CHECK_THROWS_AS(bradley_terry_loss{}({.chosen = array({not_a_number}), .rejected = array({0})}),
                  coho::argument_error);
}

TEST_CASE("mistake 8: parts of a batch of pairs add up") {
  const Eigen::ArrayXd r = normals(7, 1), s = normals(7, 2);
  const double parts = bradley_terry_loss{}({.chosen = r.head(3),
                                             .rejected = s.head(3),
                                             .weights = make_token_weights(offsets{0, 3}, {.token_normalizer = 7})}) +
                       bradley_terry_loss{}({.chosen = r.tail(4),
                                             .rejected = s.tail(4),
                                             .weights = make_token_weights(offsets{0, 4}, {.token_normalizer = 7})});
  CHECK(parts == Approx(bradley_terry_loss{}({.chosen = r, .rejected = s})).epsilon(1e-12));
}

TEST_CASE("no pairs, unusable options and lengths") {
  CHECK(bradley_terry_loss{}({.chosen = Eigen::ArrayXd(), .rejected = Eigen::ArrayXd()}) == 0);
  CHECK(bradley_terry_loss{}.value_and_grad({.chosen = Eigen::ArrayXd(), .rejected = Eigen::ArrayXd()}).value == 0);
  CHECK_THROWS_AS(bradley_terry_loss({.margin = not_a_number}), coho::option_error);
  CHECK_THROWS_AS(bradley_terry_loss({.label_smoothing = 0.5}), coho::option_error);
  CHECK_THROWS_AS(bradley_terry_loss({.label_smoothing = -0.1}), coho::option_error);
  CHECK_THROWS_AS(bradley_terry_loss({.centring = -1}), coho::option_error);
  CHECK_THROWS_AS(bradley_terry_loss{}({.chosen = array({1, 2}), .rejected = array({1})}), coho::argument_error);
  CHECK_THROWS_AS(bradley_terry_loss{}(
                      {.chosen = array({1}), .rejected = array({1}), .weights = make_token_weights(offsets{0, 2})}),
                  coho::argument_error);
  CHECK_THROWS_AS(bradley_terry_loss{}({.chosen = array({1}),
                                        .rejected = array({1}),
                                        .targets = array({1, 1}),
                                        .weights = make_token_weights(offsets{0, 1})}),
                  coho::argument_error);
}

TEMPLATE_TEST_CASE("margins of pairs by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::pair_loss_inputs<typename TestType::value_type>;
  // -log sigmoid of 1 - 1, 3 - 2 and 1 + 1.
  const auto r = make<TestType>({2, 4, 1}), s = make<TestType>({1, 1, 0}), m = make<TestType>({1, 2, -1});
  const auto result = bradley_terry_loss{}.value_and_grad(inputs{.chosen = r, .rejected = s, .margins = m});
  CHECK(result.value == Approx((0.6931471806 + 0.3132616875 + 0.1269280110) / 3).epsilon(1e-6));
  CHECK(bradley_terry_loss{}(inputs{.chosen = r, .rejected = s, .margins = m}) == Approx(result.value).epsilon(1e-12));
  CHECK(result.d_chosen[0] == Approx(-0.5 / 3));
  CHECK(result.d_rejected[1] == Approx(0.2689414214 / 3).epsilon(1e-6));
  CHECK(result.d_chosen[2] == Approx(-0.1192029220 / 3).epsilon(1e-6));
  CHECK(result.accuracy == 1);  // of the scores alone: the margin of the first pair makes it no tie

  const weights_type weights{array({0.5, 0.25, 0.25})};
  const double weighted = 0.5 * 0.6931471806 + 0.25 * (0.3132616875 + 0.1269280110);
  CHECK(bradley_terry_loss{}(inputs{.chosen = r, .rejected = s, .margins = m, .weights = weights}) ==
        Approx(weighted).epsilon(1e-6));
  CHECK(
      bradley_terry_loss{}.value_and_grad(inputs{.chosen = r, .rejected = s, .margins = m, .weights = weights}).value ==
      Approx(weighted).epsilon(1e-6));
  // Targets 1, 0 and 0.5: softplus of 0, of 1 and the mean of softplus of -2 and 2.
  const auto t = make<TestType>({1, 0, 0.5});
  const double mixed = 0.5 * 0.6931471806 + 0.25 * (1.3132616875 + 0.5 * (0.1269280110 + 2.1269280110));
  CHECK(bradley_terry_loss{}(inputs{.chosen = r, .rejected = s, .targets = t, .margins = m, .weights = weights}) ==
        Approx(mixed).epsilon(1e-6));
  CHECK(bradley_terry_loss{}
            .value_and_grad(inputs{.chosen = r, .rejected = s, .targets = t, .margins = m, .weights = weights})
            .value == Approx(mixed).epsilon(1e-6));
}

TEST_CASE("the margins of pairs add to the option's") {
  CHECK(bradley_terry_loss{}(3.0, 1.0, 1, 1.0) == Approx(0.3132616875));
  CHECK(bradley_terry_loss{{.margin = 0.75}}(3.0, 1.0, 1, 0.25) == Approx(0.3132616875));
  CHECK(bradley_terry_loss{{.margin = 0.75}}(3.0F, 1.0F, 1, 0.25F) == Approx(0.3132616875));
  const Eigen::ArrayXd r = normals(8, 1), s = normals(8, 2), m = normals(8, 3).abs();
  const auto by_option = bradley_terry_loss{{.margin = 0.7}}.value_and_grad({.chosen = r, .rejected = s});
  const auto by_array =
      bradley_terry_loss{}.value_and_grad({.chosen = r, .rejected = s, .margins = Eigen::ArrayXd::Constant(8, 0.7)});
  CHECK(by_array.value == Approx(by_option.value).epsilon(1e-14));
  CHECK(by_array.d_chosen.isApprox(by_option.d_chosen, 1e-14));
  CHECK(bradley_terry_loss{{.margin = 0.7}}({.chosen = r, .rejected = s, .margins = m}) ==
        Approx(bradley_terry_loss{}({.chosen = r, .rejected = s, .margins = m + 0.7})).epsilon(1e-12));
}

TEST_CASE("margins move the difference of the scores and not their sum") {
  const Eigen::ArrayXd r = normals(9, 1), s = normals(9, 2), m = normals(9, 3), t = Eigen::ArrayXd::LinSpaced(9, 0, 1);
  CHECK(bradley_terry_loss{}({.chosen = r, .rejected = s, .margins = m}) ==
        Approx(bradley_terry_loss{}({.chosen = r - m, .rejected = s})).epsilon(1e-12));
  const bradley_terry_loss centred{{.centring = 0.3}};
  CHECK(centred({.chosen = r, .rejected = s, .margins = m}) -
            bradley_terry_loss{}({.chosen = r, .rejected = s, .margins = m}) ==
        Approx(0.3 * (r + s).square().mean()).epsilon(1e-12));
  // Responses of a pair change places: target and margin turn with them.
  const weights_type weights{normals(9, 4).abs()};
  const bradley_terry_loss loss{{.label_smoothing = 0.1, .centring = 0.3}};
  CHECK(loss({.chosen = s, .rejected = r, .targets = 1 - t, .margins = -m, .weights = weights}) ==
        Approx(loss({.chosen = r, .rejected = s, .targets = t, .margins = m, .weights = weights})).epsilon(1e-12));
  // A larger margin asks for more.
  CHECK(bradley_terry_loss{}({.chosen = r, .rejected = s, .margins = m + 1.0}) >
        bradley_terry_loss{}({.chosen = r, .rejected = s, .margins = m}));
}

TEST_CASE("gradients with margins of pairs agree with central differences for every option") {
  const Eigen::ArrayXd r = normals(12, 1, 2), s = normals(12, 2, 2), m = normals(12, 3),
                       targets = Eigen::ArrayXd::LinSpaced(12, 0, 1);
  weights_type weights{normals(12, 5).abs()};
  weights.values[4] = 0;
  for (const auto& options :
       {coho::bradley_terry_options{}, coho::bradley_terry_options{.margin = 0.5},
        coho::bradley_terry_options{.label_smoothing = 0.2}, coho::bradley_terry_options{.centring = 0.1}}) {
    const bradley_terry_loss loss{options};
    const auto mean = loss.value_and_grad({.chosen = r, .rejected = s, .margins = m});
    check_gradient(r, mean.d_chosen,
                   [&](const Eigen::ArrayXd& x) { return loss({.chosen = x, .rejected = s, .margins = m}); });
    check_gradient(s, mean.d_rejected,
                   [&](const Eigen::ArrayXd& x) { return loss({.chosen = r, .rejected = x, .margins = m}); });
    const auto weighted = loss.value_and_grad({.chosen = r, .rejected = s, .margins = m, .weights = weights});
    check_gradient(r, weighted.d_chosen, [&](const Eigen::ArrayXd& x) {
      return loss({.chosen = x, .rejected = s, .margins = m, .weights = weights});
    });
    const auto result =
        loss.value_and_grad({.chosen = r, .rejected = s, .targets = targets, .margins = m, .weights = weights});
    CHECK(result.value ==
          Approx(loss({.chosen = r, .rejected = s, .targets = targets, .margins = m, .weights = weights}))
              .epsilon(1e-12));
    CHECK(result.d_rejected[4] == 0);
    check_gradient(r, result.d_chosen, [&](const Eigen::ArrayXd& x) {
      return loss({.chosen = x, .rejected = s, .targets = targets, .margins = m, .weights = weights});
    });
    check_gradient(s, result.d_rejected, [&](const Eigen::ArrayXd& x) {
      return loss({.chosen = r, .rejected = x, .targets = targets, .margins = m, .weights = weights});
    });
  }
}

TEST_CASE("margins that do not fit are refused by name, and those of weight 0 are not read") {
  const bradley_terry_loss loss;
  const Eigen::ArrayXd r = array({1, 2}), s = array({0, 0});
  CHECK_THROWS_WITH(loss({.chosen = r, .rejected = s, .margins = array({1})}), ContainsSubstring("margins"));
  CHECK_THROWS_AS(loss({.chosen = r, .rejected = s, .margins = array({1})}), coho::argument_error);
  CHECK_THROWS_AS(loss.value_and_grad({.chosen = r, .rejected = s, .margins = array({1, 2, 3})}), coho::argument_error);
  CHECK_THROWS_AS(loss.value_and_grad({.chosen = r,
                                       .rejected = s,
                                       .targets = r,
                                       .margins = array({}),
                                       .weights = make_token_weights(offsets{0, 2})}),
                  coho::argument_error);
  for (const double bad : {not_a_number, infinity, -infinity}) {
    CHECK_THROWS_WITH(loss({.chosen = r, .rejected = s, .margins = array({0, bad})}), ContainsSubstring("not finite"));
    CHECK_THROWS_AS(loss.value_and_grad({.chosen = r, .rejected = s, .margins = array({0, bad})}),
                    coho::argument_error);
    const weights_type weights{array({1, 0})};
    const auto result =
        loss.value_and_grad({.chosen = r, .rejected = s, .margins = array({1, bad}), .weights = weights});
    CHECK(result.value == Approx(std::log(2.0)));
    CHECK(result.d_chosen[1] == 0);
  }
  const Eigen::ArrayXd none;
  CHECK(loss({.chosen = none, .rejected = none, .margins = none}) == 0);
  CHECK(loss.value_and_grad({.chosen = none, .rejected = none, .margins = none}).value == 0);
}
