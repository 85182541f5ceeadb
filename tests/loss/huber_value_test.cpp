#include <vector>

#include <coho/loss/huber_value.hpp>
#include <coho/loss/value_clip.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::huber_value_loss, coho::make_token_weights;

TEST_CASE("Huber's error of one token by hand") {
  const huber_value_loss loss{{.delta = 2}};
  CHECK(loss(1.0, 0.0, 0.0) == 0.5);
  CHECK(loss(-1.0, 7.0, 0.0) == 0.5);  // whatever the old value
  CHECK(loss(2.0, 0.0, 0.0) == 2);
  CHECK(loss(5.0, 0.0, 0.0) == 8);  // 2·(5 − 1)
  CHECK(loss(0.0, 0.0, 5.0) == 8);
}

TEMPLATE_TEST_CASE("Huber's value loss of three tokens by hand", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  using inputs = coho::value_loss_inputs<typename TestType::value_type>;
  const auto v = make<TestType>({1, 3, -4}), old = make<TestType>({9, 9, 9}), target = make<TestType>({0.5, 0, 0});
  const huber_value_loss loss;
  const auto result = loss.value_and_grad(inputs{.values = v, .old_values = old, .returns = target});
  STATIC_REQUIRE(std::is_same_v<typename decltype(result.d_values)::Scalar, typename TestType::value_type>);
  CHECK(result.value == Approx((0.125 + 2.5 + 3.5) / 3));
  CHECK(loss(inputs{.values = v, .old_values = old, .returns = target}) == Approx(result.value));
  CHECK(result.d_values[0] == Approx(0.5 / 3));
  CHECK(result.d_values[1] == Approx(1.0 / 3));
  CHECK(result.d_values[2] == Approx(-1.0 / 3));
  CHECK(result.clip_fraction == Approx(2.0 / 3));
  CHECK(result.tokens == 3);
}

TEST_CASE("Huber's gradient on either side of either corner") {
  const huber_value_loss loss{{.delta = 0.5}};
  const auto at = [&](double error) {
    return loss.value_and_grad({.values = array({error}), .old_values = array({0}), .returns = array({0})});
  };
  for (const double sign : {1.0, -1.0}) {
    CHECK(at(sign * 0.499999).d_values[0] == Approx(sign * 0.499999));
    CHECK(at(sign * 0.499999).clip_fraction == 0);
    CHECK(at(sign * 0.500001).d_values[0] == sign * 0.5);
    CHECK(at(sign * 0.500001).clip_fraction == 1);
    CHECK(at(sign * 0.500001).value == Approx(at(sign * 0.499999).value).epsilon(1e-5));
  }
  CHECK(at(0.5).clip_fraction == 0);
}

TEST_CASE("the gradient of Huber's value loss agrees with central differences") {
  const Eigen::ArrayXd old = normals(60, 1), v = old + normals(60, 2, 0.3), target = normals(60, 3);
  flags mask(60, 1);
  mask[5] = mask[59] = 0;
  using enum coho::reduction;
  for (const auto kind : {token_mean, sequence_mean_of_means, sequence_mean_of_sums}) {
    const auto weights = make_token_weights(mask, offsets{0, 20, 20, 21, 60}, {.kind = kind});
    for (const double delta : {0.3, 1.0, 100.0, infinity}) {
      const huber_value_loss loss{{.delta = delta}};
      const auto result = loss.value_and_grad({.values = v, .old_values = old, .returns = target, .weights = weights});
      CHECK(result.value ==
            Approx(loss({.values = v, .old_values = old, .returns = target, .weights = weights})).epsilon(1e-12));
      CHECK(result.d_values[5] == 0);
      CHECK(result.tokens == 58);
      check_gradient(v, result.d_values, [&](const Eigen::ArrayXd& x) {
        return loss({.values = x, .old_values = old, .returns = target, .weights = weights});
      });
    }
  }
}

TEST_CASE("with delta = infinity Huber's loss is value_clip_loss with clip = infinity, the squared error") {
  const Eigen::ArrayXd v = normals(50, 1, 3), old = normals(50, 2), target = normals(50, 3);
  const auto huber =
      huber_value_loss{{.delta = infinity}}.value_and_grad({.values = v, .old_values = old, .returns = target});
  const auto square =
      coho::value_clip_loss{{.clip = infinity}}.value_and_grad({.values = v, .old_values = old, .returns = target});
  CHECK(huber.value == Approx(square.value).epsilon(1e-12));
  CHECK(huber.value == Approx(0.5 * (v - target).square().mean()).epsilon(1e-12));
  CHECK(huber.d_values.isApprox(square.d_values, 1e-12));
  CHECK(huber.clip_fraction == 0);
}

TEST_CASE("one far-off return cannot dominate Huber's gradient") {
  const auto result = huber_value_loss{{.delta = 1}}.value_and_grad(
      {.values = array({0, 0}), .old_values = array({0, 0}), .returns = array({1e9, 0.5})});
  CHECK(result.d_values[0] == -0.5);
  CHECK(result.d_values[1] == -0.25);
}

TEST_CASE("mistake 9: masked NaN reaches neither Huber's loss nor its gradient") {
  const auto weights = make_token_weights(flags{1, 0}, offsets{0, 2});
  const auto result = huber_value_loss{{.delta = 5}}.value_and_grad({.values = array({1, not_a_number}),
                                                                     .old_values = array({1, not_a_number}),
                                                                     .returns = array({3, infinity}),
                                                                     .weights = weights});
  CHECK(result.value == Approx(2));
  CHECK((result.d_values == array({-2, 0})).all());
  CHECK(result.tokens == 1);
  CHECK(result.clip_fraction == 0);
}

TEST_CASE("Huber's loss: NaN, empty batches, unusable options and lengths") {
  const Eigen::ArrayXd two = array({1, 2}), one = array({1});
  CHECK_THROWS_AS(huber_value_loss{}({.values = array({not_a_number}), .old_values = one, .returns = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(huber_value_loss{}({.values = one, .old_values = one, .returns = array({not_a_number})}),
                  coho::argument_error);
  CHECK_THROWS_AS(huber_value_loss{}({.values = one, .old_values = one, .returns = array({infinity})}),
                  coho::argument_error);
  CHECK(huber_value_loss{}
            .value_and_grad({.values = Eigen::ArrayXd(), .old_values = Eigen::ArrayXd(), .returns = Eigen::ArrayXd()})
            .value == 0);
  CHECK_THROWS_WITH(huber_value_loss({.delta = 0}), ContainsSubstring("delta"));
  CHECK_THROWS_AS(huber_value_loss({.delta = not_a_number}), coho::option_error);
  CHECK_THROWS_WITH(huber_value_loss{}({.values = two, .old_values = one, .returns = two}),
                    ContainsSubstring("old_values"));
  CHECK_THROWS_WITH(huber_value_loss{}({.values = two, .old_values = two, .returns = one}),
                    ContainsSubstring("returns"));
  CHECK_THROWS_WITH(
      huber_value_loss{}(
          {.values = two, .old_values = two, .returns = two, .weights = make_token_weights(offsets{0, 1})}),
      ContainsSubstring("weights"));
}
