#include <cmath>
#include <vector>

#include <coho/loss/cispo.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/reinforce.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::cispo_loss, coho::make_token_weights;

TEST_CASE("CISPO of one token by hand") {
  const cispo_loss loss{{.clip_high = 0.2, .clip_low = 0.3}};
  const auto term = [&](double ratio, double advantage) { return loss(-2.0, -2.0 - std::log(ratio), advantage); };
  CHECK(term(1, 3) == Approx(6));
  CHECK(term(1.1, 3) == Approx(6.6));
  CHECK(term(2, 3) == Approx(7.2));  // bounded from above, for either sign of the advantage
  CHECK(term(2, -3) == Approx(-7.2));
  CHECK(term(0.5, 3) == Approx(4.2));                                 // bounded from below
  CHECK(cispo_loss{}(-2.0, -2.0 - std::log(0.5), 3.0) == Approx(3));  // off by default
}

TEMPLATE_TEST_CASE("CISPO of three tokens by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::policy_loss_inputs<typename TestType::value_type>;
  const auto log_probs = make<TestType>({-1, -1, -1}), a = make<TestType>({1, -1, 2}),
             old = make<TestType>({-1 - std::log(0.5), -1, -1 - std::log(1.5)});
  const cispo_loss loss{{.clip_high = 0.2}};
  CHECK(loss(inputs{.log_probs = log_probs, .old_log_probs = old, .advantages = a}) ==
        Approx((0.5 - 1 + 2.4) / 3).epsilon(1e-6));
  const auto result = loss.value_and_grad(inputs{
      .log_probs = log_probs, .old_log_probs = old, .advantages = a, .weights = make_token_weights(offsets{0, 1, 3})});
  STATIC_REQUIRE(std::is_same_v<typename decltype(result.d_log_probs)::Scalar, typename TestType::value_type>);
  CHECK(result.value == Approx(1.9 / 3).epsilon(1e-6));
  CHECK(result.d_log_probs[0] == Approx(-0.5 / 3).epsilon(1e-6));
  CHECK(result.d_log_probs[1] == Approx(1.0 / 3).epsilon(1e-6));
  CHECK(result.d_log_probs[2] == Approx(-2.4 / 3).epsilon(1e-6));  // clipped, yet with a gradient
  CHECK(result.clip_fraction == Approx(1.0 / 3));
  CHECK(result.approximate_kl == Approx((0.5 - 1 - std::log(0.5) + 0.5 - std::log(1.5)) / 3).epsilon(1e-5));
  CHECK(result.tokens == 3);
}

TEST_CASE("CISPO's weight on either side of either bound") {
  const cispo_loss loss{{.clip_high = 0.3, .clip_low = 0.2}};
  const auto slope = [&](double ratio, double advantage) {
    return loss
        .value_and_grad(
            {.log_probs = array({std::log(ratio)}), .old_log_probs = array({0}), .advantages = array({advantage})})
        .d_log_probs[0];
  };
  for (const double a : {1.0, -1.0}) {
    CHECK(slope(1.299999, a) == Approx(-1.299999 * a).epsilon(1e-9));
    CHECK(slope(1.300001, a) == Approx(-1.3 * a).epsilon(1e-9));
    CHECK(slope(0.800001, a) == Approx(-0.800001 * a).epsilon(1e-9));
    CHECK(slope(0.799999, a) == Approx(-0.8 * a).epsilon(1e-9));
  }
}

TEST_CASE("the gradient of CISPO is that of log pi with the weight held constant") {
  const Eigen::ArrayXd old = normals(60, 1), p = old + normals(60, 2, 0.4), a = normals(60, 3);
  flags mask(60, 1);
  for (std::size_t t = 0; t < 60; t += 7) mask[t] = 0;
  using enum coho::reduction;
  for (const auto kind : {token_mean, sequence_mean_of_means, sequence_mean_of_sums}) {
    const auto weights = make_token_weights(mask, offsets{0, 10, 11, 11, 60}, {.kind = kind});
    for (const double low : {1.0, 0.2}) {
      const cispo_loss loss{{.clip_high = 0.25, .clip_low = low}};
      const auto result =
          loss.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights});
      CHECK(result.value ==
            Approx(loss({.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights})).epsilon(1e-12));
      CHECK(result.clip_fraction > 0.1);
      CHECK(result.clip_fraction < 0.9);
      const Eigen::ArrayXd held = (p - old).exp().max(1 - low).min(1.25);
      check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) {
        return coho::reinforce_loss{}({.log_probs = x, .advantages = a * held, .weights = weights});
      });
      double by_terms = 0;
      for (Eigen::Index t = 0; t < 60; ++t) by_terms += weights.values[t] * loss(p[t], old[t], a[t]);
      CHECK(result.value == Approx(by_terms).epsilon(1e-12));
    }
  }
}

TEST_CASE("mistake 6: at equal log-probs CISPO is REINFORCE, and nothing is clipped") {
  const Eigen::ArrayXf p = normals(1500, 1).cast<float>(), a = normals(1500, 2).cast<float>();
  const auto result =
      cispo_loss{}.value_and_grad(coho::policy_loss_inputs<float>{.log_probs = p, .old_log_probs = p, .advantages = a});
  const auto plain =
      coho::reinforce_loss{}.value_and_grad(coho::policy_loss_inputs<float>{.log_probs = p, .advantages = a});
  CHECK(result.value == Approx(plain.value).epsilon(1e-12));
  CHECK((result.d_log_probs == plain.d_log_probs).all());
  CHECK(result.clip_fraction == 0);
  CHECK(result.approximate_kl == 0);
}

TEST_CASE("CISPO measures the divergence from the old policy as PPO does") {
  const Eigen::ArrayXd old = normals(200, 1), p = old + normals(200, 2, 0.5), a = normals(200, 3);
  const double expected =
      coho::ppo_clip_loss{}.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a}).approximate_kl;
  CHECK(cispo_loss{}.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a}).approximate_kl ==
        Approx(expected).epsilon(1e-9));
  CHECK(cispo_loss{}
            .value_and_grad({.log_probs = array({25}), .old_log_probs = array({0}), .advantages = array({1})})
            .approximate_kl == Approx(std::exp(20.0) - 21));
}

TEST_CASE("without bounds CISPO's gradient is that of the importance-weighted objective") {
  const Eigen::ArrayXd old = normals(30, 1), p = old + normals(30, 2, 0.5), a = normals(30, 3);
  const auto result =
      cispo_loss{{.clip_high = infinity}}.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a});
  CHECK(result.clip_fraction == 0);
  check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) { return -(a * (x - old).exp()).mean(); });
}

TEST_CASE("mistake 9: masked NaN reaches neither CISPO nor its gradient") {
  const auto weights = make_token_weights(flags{1, 0, 1}, offsets{0, 3});
  for (const double bad : {not_a_number, infinity, -infinity}) {
    const auto result = cispo_loss{}.value_and_grad({.log_probs = array({-1, bad, -1}),
                                                     .old_log_probs = array({-1, bad, -1}),
                                                     .advantages = array({1, bad, 3}),
                                                     .weights = weights});
    CHECK(result.value == Approx(2));
    CHECK((result.d_log_probs == array({-0.5, 0, -1.5})).all());
    CHECK(result.approximate_kl == 0);
    CHECK(result.clip_fraction == 0);
    CHECK(result.tokens == 2);
  }
}

TEST_CASE("CISPO: a diverged ratio is a finite number, NaN and infinity are errors") {
  const cispo_loss open{{.clip_high = infinity}};
  const auto result = open.value_and_grad(
      {.log_probs = array({-1, -1}), .old_log_probs = array({-2001, 1999}), .advantages = array({1, 1})});
  CHECK(result.d_log_probs[0] == Approx(-std::exp(20.0) / 2));
  CHECK(result.d_log_probs[1] == Approx(-std::exp(-20.0) / 2));
  const Eigen::ArrayXd one = array({-1});
  CHECK_THROWS_AS(open({.log_probs = array({not_a_number}), .old_log_probs = one, .advantages = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(open({.log_probs = one, .old_log_probs = array({not_a_number}), .advantages = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(open({.log_probs = one, .old_log_probs = array({-infinity}), .advantages = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(open({.log_probs = one, .old_log_probs = one, .advantages = array({not_a_number})}),
                  coho::argument_error);
}

TEST_CASE("CISPO: empty input, unusable options and lengths") {
  const auto nothing = cispo_loss{}.value_and_grad(
      {.log_probs = Eigen::ArrayXd(), .old_log_probs = Eigen::ArrayXd(), .advantages = Eigen::ArrayXd()});
  CHECK(nothing.value == 0);
  CHECK(nothing.clip_fraction == 0);
  CHECK(nothing.d_log_probs.size() == 0);
  CHECK_THROWS_WITH(cispo_loss({.clip_high = 0}), ContainsSubstring("clip_high"));
  CHECK_THROWS_AS(cispo_loss({.clip_high = not_a_number}), coho::option_error);
  CHECK_THROWS_WITH(cispo_loss({.clip_low = 0}), ContainsSubstring("clip_low"));
  CHECK_THROWS_AS(cispo_loss({.clip_low = 1.1}), coho::option_error);
  const Eigen::ArrayXd two = array({1, 2}), one = array({1});
  CHECK_THROWS_WITH(cispo_loss{}({.log_probs = two, .old_log_probs = one, .advantages = two}),
                    ContainsSubstring("old_log_probs"));
  CHECK_THROWS_WITH(cispo_loss{}({.log_probs = two, .old_log_probs = two, .advantages = one}),
                    ContainsSubstring("advantages"));
  CHECK_THROWS_WITH(
      cispo_loss{}(
          {.log_probs = two, .old_log_probs = two, .advantages = two, .weights = make_token_weights(offsets{0, 1})}),
      ContainsSubstring("weights"));
}
