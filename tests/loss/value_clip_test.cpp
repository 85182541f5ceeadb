#include <vector>

#include <coho/loss/value_clip.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::make_token_weights, coho::value_clip_loss;

TEST_CASE("the term of one token by hand") {
  const value_clip_loss loss{{.clip = 0.2}};
  CHECK(loss(1.1, 1.0, 2.0) == Approx(0.5 * 0.9 * 0.9));  // inside the band
  CHECK(loss(1.5, 1.0, 2.0) == Approx(0.5 * 0.8 * 0.8));  // moved too far towards the target: no further gain
  CHECK(loss(0.5, 1.0, 2.0) == Approx(0.5 * 1.5 * 1.5));  // moved away: full loss
  CHECK(loss(1.5, 1.0, 1.0) == Approx(0.5 * 0.5 * 0.5));  // overshot: full loss
}

TEMPLATE_TEST_CASE("the mean and its gradient", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::value_loss_inputs<typename TestType::value_type>;
  const auto v = make<TestType>({1.1, 1.5, 0.5}), old = make<TestType>({1, 1, 1}), target = make<TestType>({2, 2, 2});
  const value_clip_loss loss;
  const auto result = loss.value_and_grad(inputs{.values = v, .old_values = old, .returns = target});
  CHECK(result.value == Approx(0.5 * (0.81 + 0.64 + 2.25) / 3).epsilon(1e-6));
  CHECK(loss(inputs{.values = v, .old_values = old, .returns = target}) == Approx(result.value));
  CHECK(result.d_values[0] == Approx(-0.9 / 3).epsilon(1e-6));
  CHECK(result.d_values[1] == 0);
  CHECK(result.d_values[2] == Approx(-0.5).epsilon(1e-6));
  CHECK(result.clip_fraction == Approx(1.0 / 3));
}

TEST_CASE("either side of either bound") {
  const value_clip_loss loss{{.clip = 0.2}};
  const auto slope = [&](double v, double target) {
    return loss.value_and_grad({.values = array({v}), .old_values = array({0}), .returns = array({target})})
        .d_values[0];
  };
  CHECK(slope(0.199999, 1) == Approx(0.199999 - 1));
  CHECK(slope(0.200001, 1) == 0);
  CHECK(slope(0.200001, 0.1) == Approx(0.100001));
  CHECK(slope(-0.199999, -1) == Approx(1 - 0.199999));
  CHECK(slope(-0.200001, -1) == 0);
  CHECK(slope(-0.200001, 1) == Approx(-1.200001));
}

TEST_CASE("no move keeps the whole gradient, whatever rounding says") {
  const Eigen::ArrayXf v = normals(3000, 1, 100).cast<float>(), target = normals(3000, 2, 100).cast<float>();
  const auto result =
      value_clip_loss{}.value_and_grad(coho::value_loss_inputs<float>{.values = v, .old_values = v, .returns = target});
  CHECK(result.clip_fraction == 0);
  CHECK((result.d_values != 0.0f).all());
}

TEST_CASE("infinity switches the clip off") {
  const Eigen::ArrayXd v = normals(50, 1), old = normals(50, 2), target = normals(50, 3);
  CHECK(value_clip_loss{{.clip = infinity}}({.values = v, .old_values = old, .returns = target}) ==
        Approx(0.5 * (v - target).square().mean()).epsilon(1e-12));
}

TEST_CASE("the gradient agrees with central differences") {
  const Eigen::ArrayXd old = normals(60, 1), v = old + normals(60, 2, 0.3), target = normals(60, 3);
  flags mask(60, 1);
  mask[5] = mask[59] = 0;
  const value_clip_loss loss{{.clip = 0.2}};
  const auto weights = make_token_weights(mask, offsets{0, 20, 60}, {.kind = coho::reduction::sequence_mean_of_means});
  const auto result = loss.value_and_grad({.values = v, .old_values = old, .returns = target, .weights = weights});
  CHECK(result.clip_fraction > 0);
  CHECK(result.value ==
        Approx(loss({.values = v, .old_values = old, .returns = target, .weights = weights})).epsilon(1e-12));
  check_gradient(v, result.d_values, [&](const Eigen::ArrayXd& x) {
    return loss({.values = x, .old_values = old, .returns = target, .weights = weights});
  });
}

TEST_CASE("mistake 9: masked NaN reaches neither the value loss nor its gradient") {
  const auto weights = make_token_weights(flags{1, 0}, offsets{0, 2});
  const auto result = value_clip_loss{}.value_and_grad({.values = array({1, not_a_number}),
                                                        .old_values = array({1, not_a_number}),
                                                        .returns = array({3, infinity}),
                                                        .weights = weights});
  CHECK(result.value == Approx(2));
  CHECK((result.d_values == array({-2, 0})).all());
  CHECK(result.tokens == 1);
}

TEST_CASE("NaN in a real token is an error") {
  const Eigen::ArrayXd one = array({1});
  CHECK_THROWS_AS(value_clip_loss{}({.values = array({not_a_number}), .old_values = one, .returns = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(value_clip_loss{}({.values = one, .old_values = array({not_a_number}), .returns = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(value_clip_loss{}({.values = one, .old_values = one, .returns = array({not_a_number})}),
                  coho::argument_error);
}

TEST_CASE("empty batches, unusable options and lengths") {
  CHECK(value_clip_loss{}
            .value_and_grad({.values = Eigen::ArrayXd(), .old_values = Eigen::ArrayXd(), .returns = Eigen::ArrayXd()})
            .value == 0);
  CHECK_THROWS_AS(value_clip_loss({.clip = 0}), coho::option_error);
  CHECK_THROWS_AS(value_clip_loss({.clip = not_a_number}), coho::option_error);
  const Eigen::ArrayXd two = array({1, 2}), one = array({1});
  CHECK_THROWS_AS(value_clip_loss{}({.values = two, .old_values = one, .returns = two}), coho::argument_error);
  CHECK_THROWS_AS(value_clip_loss{}({.values = two, .old_values = two, .returns = one}), coho::argument_error);
  CHECK_THROWS_AS(value_clip_loss{}(
                      {.values = two, .old_values = two, .returns = two, .weights = make_token_weights(offsets{0, 1})}),
                  coho::argument_error);
}
