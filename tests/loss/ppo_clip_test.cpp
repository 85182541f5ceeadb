#include <cmath>
#include <span>
#include <vector>

#include <coho/loss/ppo_clip.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::make_token_weights, coho::ppo_clip_loss;

TEST_CASE("advantages 1 -1 2 at ratios 0.5 1 1.5, clip 0.2") {
  const ppo_clip_loss loss;
  CHECK(loss(std::log(0.5), 0.0, 1.0) == Approx(-0.5));
  CHECK(loss(0.0, 0.0, -1.0) == Approx(1));
  CHECK(loss(std::log(1.5), 0.0, 2.0) == Approx(-2.4));
}

TEMPLATE_TEST_CASE("the mean of the three", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::policy_loss_inputs<typename TestType::value_type>;
  const auto log_probs = make<TestType>({std::log(0.5), 0, std::log(1.5)}), old = make<TestType>({0, 0, 0}),
             a = make<TestType>({1, -1, 2});
  const ppo_clip_loss loss;
  CHECK(loss(inputs{.log_probs = log_probs, .old_log_probs = old, .advantages = a}) == Approx(-1.9 / 3).epsilon(1e-6));
  const auto result = loss.value_and_grad(inputs{
      .log_probs = log_probs, .old_log_probs = old, .advantages = a, .weights = make_token_weights(offsets{0, 1, 3})});
  STATIC_REQUIRE(std::is_same_v<typename decltype(result.d_log_probs)::Scalar, typename TestType::value_type>);
  CHECK(result.value == Approx(-1.9 / 3).epsilon(1e-6));
  CHECK(result.d_log_probs[0] == Approx(-0.5 / 3).epsilon(1e-6));
  CHECK(result.d_log_probs[1] == Approx(1.0 / 3).epsilon(1e-6));
  CHECK(result.d_log_probs[2] == 0);
  CHECK(result.clip_fraction == Approx(1.0 / 3));
  CHECK(result.tokens == 3);
  CHECK(result.approximate_kl == Approx((0.5 - 1 - std::log(0.5) + 0.5 - std::log(1.5)) / 3).epsilon(1e-5));
}

TEST_CASE("either side of either bound, for either sign of the advantage") {
  const ppo_clip_loss loss{{.clip_low = 0.2, .clip_high = 0.3}};
  const auto slope = [&](double ratio, double advantage) {
    return loss
        .value_and_grad(
            {.log_probs = array({std::log(ratio)}), .old_log_probs = array({0}), .advantages = array({advantage})})
        .d_log_probs[0];
  };
  CHECK(slope(1.299999, 1) == Approx(-1.299999));
  CHECK(slope(1.300001, 1) == 0);
  CHECK(slope(1.300001, -1) == Approx(1.300001));
  CHECK(slope(0.800001, -1) == Approx(0.800001));
  CHECK(slope(0.799999, -1) == 0);
  CHECK(slope(0.799999, 1) == Approx(-0.799999));
  CHECK(slope(1, 0) == 0);
}

TEST_CASE("mistake 6: at equal log-probs the ratio is exactly 1 and nothing is clipped") {
  const Eigen::ArrayXf p = normals(1500, 1).cast<float>(), a = normals(1500, 2).cast<float>();
  const auto result = ppo_clip_loss{}.value_and_grad(
      coho::policy_loss_inputs<float>{.log_probs = p, .old_log_probs = p, .advantages = a});
  CHECK(result.clip_fraction == 0);
  CHECK(result.approximate_kl == 0);
  CHECK(result.value == Approx(-a.cast<double>().mean()).epsilon(1e-12));
}

TEST_CASE("the approximate KL is never negative, and accurate where the log-ratios are tiny") {
  const auto kl = [](const auto& log_probs, const auto& old) {
    using inputs = coho::policy_loss_inputs<typename std::remove_cvref_t<decltype(old)>::value_type>;
    return ppo_clip_loss{}
        .value_and_grad(inputs{.log_probs = log_probs, .old_log_probs = old, .advantages = old})
        .approximate_kl;
  };
  CHECK(kl(std::vector<float>{0.F}, std::vector<float>{-3.01e-5F}) == Approx(0.5 * 3.01e-5 * 3.01e-5).epsilon(1e-3));
  CHECK(kl(array({0}), array({-1e-9})) == Approx(5e-19).epsilon(1e-6));
  for (const double scale : {1e-7, 1e-5, 1e-3, 0.02, 1.0}) {
    const Eigen::ArrayXd x = normals(1000, 4, scale);
    const Eigen::ArrayXf narrow = x.cast<float>(), zeros = Eigen::ArrayXf::Zero(1000);
    for (Eigen::Index t = 0; t < 1000; ++t) {
      const double one = kl(Eigen::ArrayXf(narrow.segment(t, 1)), Eigen::ArrayXf(zeros.head(1)));
      if (one < 0) FAIL("log-ratio " << narrow[t] << ": " << one);
    }
    CHECK(kl(narrow, zeros) == Approx((x.expm1() - x).mean()).epsilon(1e-2 * scale + 2e-3));
  }
  // Both sides of the switch from the series, and of the limit to the log-ratio.
  for (const double x : {-0.0101, -0.0099, 0.0099, 0.0101}) {
    CHECK(kl(array({x}), array({0})) == Approx(x * x / 2 + x * x * x / 6 + x * x * x * x / 24).epsilon(1e-6));
  }
  CHECK(kl(array({25}), array({0})) == Approx(std::exp(20.0) - 21));
  CHECK(kl(array({-25}), array({0})) == Approx(std::exp(-20.0) + 19));
}

TEST_CASE("the gradient agrees with central differences, masks and reductions included") {
  // 700 tokens, so that a block border is crossed.
  const Eigen::ArrayXd old = normals(700, 1), p = old + normals(700, 2, 0.3), a = normals(700, 3);
  flags mask(700, 1);
  for (std::size_t t = 0; t < 700; t += 7) mask[t] = 0;
  for (const double dual : {0.0, 1.5}) {
    const ppo_clip_loss loss{{.clip_low = 0.15, .clip_high = 0.25, .dual_clip = dual}};
    const auto weights =
        make_token_weights(mask, offsets{0, 100, 101, 101, 700}, {.kind = coho::reduction::sequence_mean_of_sums});
    const auto result =
        loss.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights});
    CHECK(result.value ==
          Approx(loss({.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights})).epsilon(1e-12));
    CHECK(result.clip_fraction > 0.1);
    CHECK(result.clip_fraction < 0.9);
    check_gradient(
        p, result.d_log_probs,
        [&](const Eigen::ArrayXd& x) {
          return loss({.log_probs = x, .old_log_probs = old, .advantages = a, .weights = weights});
        },
        1e-6);
    double by_terms = 0;
    for (Eigen::Index t = 0; t < 700; ++t) by_terms += weights.values[t] * loss(p[t], old[t], a[t]);
    CHECK(result.value == Approx(by_terms).epsilon(1e-12));
  }
}

TEST_CASE("dual clip bounds the loss of a negative advantage and stops its gradient") {
  const ppo_clip_loss loss{{.dual_clip = 3}};
  CHECK(loss(std::log(10.0), 0.0, -1.0) == Approx(3));
  CHECK(loss(std::log(2.9), 0.0, -1.0) == Approx(2.9));
  CHECK(loss(std::log(10.0), 0.0, 1.0) == Approx(-1.2));
  const auto result = loss.value_and_grad({.log_probs = array({std::log(10.0), std::log(2.9)}),
                                           .old_log_probs = array({0, 0}),
                                           .advantages = array({-1, -1})});
  CHECK(result.d_log_probs[0] == 0);
  CHECK(result.d_log_probs[1] == Approx(1.45));
  CHECK(result.clip_fraction == 0.5);
}

TEST_CASE("mistake 9: masked NaN reaches neither the loss nor its gradient") {
  const auto weights = make_token_weights(flags{1, 0, 1}, offsets{0, 3});
  for (const double bad : {not_a_number, infinity, -infinity}) {
    const auto result = ppo_clip_loss{}.value_and_grad({.log_probs = array({-1, bad, -1}),
                                                        .old_log_probs = array({-1, bad, -1}),
                                                        .advantages = array({1, bad, 3}),
                                                        .weights = weights});
    CHECK(result.value == Approx(-2));
    CHECK((result.d_log_probs == array({-0.5, 0, -1.5})).all());
    CHECK(result.approximate_kl == 0);
    CHECK(result.tokens == 2);
  }
}

TEST_CASE("NaN in a real token is an error, a diverged ratio is a finite number") {
  const ppo_clip_loss loss;
  const Eigen::ArrayXd one = array({-1});
  CHECK_THROWS_AS(loss({.log_probs = array({not_a_number}), .old_log_probs = one, .advantages = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(loss({.log_probs = one, .old_log_probs = array({not_a_number}), .advantages = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(loss({.log_probs = one, .old_log_probs = one, .advantages = array({not_a_number})}),
                  coho::argument_error);
  CHECK_THROWS_AS(
      loss.value_and_grad(coho::policy_loss_inputs<float>{.log_probs = one.cast<float>(),
                                                          .old_log_probs = array({not_a_number}).cast<float>(),
                                                          .advantages = one.cast<float>()}),
      coho::argument_error);
  const auto result = loss.value_and_grad(
      {.log_probs = array({0, 0}), .old_log_probs = array({-2000, 2000}), .advantages = array({-1, 1})});
  CHECK(result.value == Approx((std::exp(20.0) - std::exp(-20.0)) / 2));
  CHECK((result.d_log_probs == 0.0).all());
  CHECK(loss(0.0, -2000.0, 0.0) == 0.0);
}

TEST_CASE("mistake 8: gradients of parts with the batch's token count add up") {
  const Eigen::ArrayXd old = normals(10, 1), p = old + normals(10, 2, 0.2), a = normals(10, 3);
  const ppo_clip_loss loss;
  const auto whole = loss.value_and_grad(
      {.log_probs = p, .old_log_probs = old, .advantages = a, .weights = make_token_weights(offsets{0, 2, 10})});
  const auto first = loss.value_and_grad({.log_probs = p.head(2),
                                          .old_log_probs = old.head(2),
                                          .advantages = a.head(2),
                                          .weights = make_token_weights(offsets{0, 2}, {.token_normalizer = 10})});
  const auto second = loss.value_and_grad({.log_probs = p.tail(8),
                                           .old_log_probs = old.tail(8),
                                           .advantages = a.tail(8),
                                           .weights = make_token_weights(offsets{0, 8}, {.token_normalizer = 10})});
  CHECK(first.value + second.value == Approx(whole.value).epsilon(1e-12));
  Eigen::ArrayXd joined(10);
  joined << first.d_log_probs, second.d_log_probs;
  CHECK(joined.isApprox(whole.d_log_probs, 1e-12));
}

TEST_CASE("no tokens, and none of weight") {
  const auto nothing = ppo_clip_loss{}.value_and_grad(
      {.log_probs = Eigen::ArrayXd(), .old_log_probs = Eigen::ArrayXd(), .advantages = Eigen::ArrayXd()});
  CHECK(nothing.value == 0);
  CHECK(nothing.d_log_probs.size() == 0);
  const auto masked = ppo_clip_loss{}.value_and_grad({.log_probs = array({not_a_number}),
                                                      .old_log_probs = array({1}),
                                                      .advantages = array({1}),
                                                      .weights = make_token_weights(flags{0}, offsets{0, 1})});
  CHECK(masked.value == 0);
  CHECK(masked.clip_fraction == 0);
  CHECK(masked.approximate_kl == 0);
}

TEST_CASE("containers may be mixed") {
  const std::vector<double> p{-1, -1};
  const std::vector<float> old{-1, -1};
  CHECK(ppo_clip_loss{}(
            {.log_probs = p, .old_log_probs = std::span<const float>(old), .advantages = array({1, 2}) * 2.0}) ==
        Approx(-3));
}

TEST_CASE("unusable options and lengths are refused") {
  CHECK_THROWS_AS(ppo_clip_loss({.clip_low = 0}), coho::option_error);
  CHECK_THROWS_AS(ppo_clip_loss({.clip_low = 1}), coho::option_error);
  CHECK_THROWS_AS(ppo_clip_loss({.clip_high = 0}), coho::option_error);
  CHECK_THROWS_AS(ppo_clip_loss({.clip_high = not_a_number}), coho::option_error);
  CHECK_THROWS_AS(ppo_clip_loss({.dual_clip = 1}), coho::option_error);
  const Eigen::ArrayXd two = array({1, 2}), one = array({1});
  CHECK_THROWS_AS(ppo_clip_loss{}({.log_probs = two, .old_log_probs = one, .advantages = two}), coho::argument_error);
  CHECK_THROWS_AS(ppo_clip_loss{}({.log_probs = two, .old_log_probs = two, .advantages = one}), coho::argument_error);
  CHECK_THROWS_AS(
      ppo_clip_loss{}(
          {.log_probs = two, .old_log_probs = two, .advantages = two, .weights = make_token_weights(offsets{0, 1})}),
      coho::argument_error);
}
