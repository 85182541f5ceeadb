#include <cmath>
#include <vector>

#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/reinforce.hpp>
#include <coho/loss/sapo.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::make_token_weights, coho::sapo_loss;

TEST_CASE("SAPO of one token by hand") {
  const sapo_loss loss{{.temperature_positive = 2, .temperature_negative = 4}};
  const auto term = [&](double ratio, double advantage) { return loss(-2.0, -2.0 - std::log(ratio), advantage); };
  CHECK(term(1, 3) == Approx(-3));  // −A·½·4/τ
  CHECK(term(1, -3) == Approx(1.5));
  CHECK(term(2, 1) == Approx(-2 / (1 + std::exp(-2.0))));
  CHECK(term(0.5, -1) == Approx(1 / (1 + std::exp(2.0))));
}

TEMPLATE_TEST_CASE("SAPO of two tokens by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::policy_loss_inputs<typename TestType::value_type>;
  const auto log_probs = make<TestType>({-1, -1}), a = make<TestType>({1, -2}),
             old = make<TestType>({-1 - std::log(2.0), -1});
  const auto result = sapo_loss{}.value_and_grad(inputs{.log_probs = log_probs, .old_log_probs = old, .advantages = a});
  const double sigma = 1 / (1 + std::exp(-1.0)), gate = 4 * sigma * (1 - sigma);
  CHECK(result.value == Approx((-4 * sigma + 4 / 1.05) / 2).epsilon(1e-6));
  CHECK(result.d_log_probs[0] == Approx(-gate).epsilon(1e-6));  // −A·ρ·gate / 2
  CHECK(result.d_log_probs[1] == Approx(1).epsilon(1e-6));
  CHECK(result.gate == Approx((gate + 1) / 2).epsilon(1e-6));
  CHECK(result.approximate_kl == Approx((1 - std::log(2.0)) / 2).epsilon(1e-5));
  CHECK(result.tokens == 2);
}

TEST_CASE("the gradient of SAPO is that of its value, for every reduction and temperature") {
  const Eigen::ArrayXd old = normals(60, 1), p = old + normals(60, 2, 0.4), a = normals(60, 3);
  flags mask(60, 1);
  for (std::size_t t = 0; t < 60; t += 7) mask[t] = 0;
  using enum coho::reduction;
  for (const auto kind : {token_mean, sequence_mean_of_means, sequence_mean_of_sums}) {
    const auto weights = make_token_weights(mask, offsets{0, 10, 11, 11, 60}, {.kind = kind});
    for (const double temperature : {0.3, 1.0, 5.0}) {
      const sapo_loss loss{{.temperature_positive = temperature, .temperature_negative = 2 * temperature}};
      const auto value = [&](const Eigen::ArrayXd& x) {
        return loss({.log_probs = x, .old_log_probs = old, .advantages = a, .weights = weights});
      };
      const auto result =
          loss.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights});
      CHECK(result.value == Approx(value(p)).epsilon(1e-12));
      check_gradient(p, result.d_log_probs, value);
    }
  }
}

TEST_CASE("mistake 6: at equal log-probs SAPO's gradient is REINFORCE's") {
  const Eigen::ArrayXd p = normals(300, 1), a = normals(300, 2);
  const auto result = sapo_loss{}.value_and_grad({.log_probs = p, .old_log_probs = p, .advantages = a});
  const auto plain = coho::reinforce_loss{}.value_and_grad({.log_probs = p, .advantages = a});
  CHECK((result.d_log_probs - plain.d_log_probs).abs().maxCoeff() < 1e-15);
  CHECK(result.gate == 1);
  CHECK(result.approximate_kl == 0);
}

TEST_CASE("SAPO's gate fades on both sides, sooner for negative advantages") {
  const auto slope = [](double ratio, double advantage) {
    return std::abs(sapo_loss{}
                        .value_and_grad({.log_probs = array({std::log(ratio)}),
                                         .old_log_probs = array({0}),
                                         .advantages = array({advantage})})
                        .d_log_probs[0]) /
           ratio;
  };
  for (const double a : {1.0, -1.0}) {
    CHECK(slope(1.5, a) < 1);
    CHECK(slope(3, a) < slope(1.5, a));
    CHECK(slope(0.5, a) < 1);
  }
  CHECK(slope(3, -1) < slope(3, 1));
}

TEST_CASE("mistake 9: masked NaN reaches neither SAPO nor its gradient") {
  const auto weights = make_token_weights(flags{1, 0, 1}, offsets{0, 3});
  for (const double bad : {not_a_number, infinity, -infinity}) {
    const auto result = sapo_loss{}.value_and_grad({.log_probs = array({-1, bad, -1}),
                                                    .old_log_probs = array({-1, bad, -1}),
                                                    .advantages = array({1, bad, 3}),
                                                    .weights = weights});
    CHECK(result.value == Approx(-4));
    CHECK((result.d_log_probs == array({-0.5, 0, -1.5})).all());
    CHECK(result.tokens == 2);
  }
}

TEST_CASE("SAPO: a diverged ratio is a finite number, NaN and infinity are errors; unusable options and lengths") {
  const auto result = sapo_loss{}.value_and_grad(
      {.log_probs = array({-1, -1}), .old_log_probs = array({-2001, 1999}), .advantages = array({1, 1})});
  CHECK(result.value == Approx((-4 - 4 / (1 + std::exp(1.0))) / 2));
  CHECK(result.d_log_probs[0] == 0);
  const Eigen::ArrayXd one = array({-1}), two = array({1, 2});
  CHECK_THROWS_AS(sapo_loss{}({.log_probs = array({not_a_number}), .old_log_probs = one, .advantages = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(sapo_loss{}({.log_probs = one, .old_log_probs = array({-infinity}), .advantages = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(sapo_loss{}({.log_probs = one, .old_log_probs = one, .advantages = array({infinity})}),
                  coho::argument_error);
  CHECK_THROWS_WITH(sapo_loss({.temperature_positive = 0}), ContainsSubstring("temperature_positive"));
  CHECK_THROWS_AS(sapo_loss({.temperature_negative = infinity}), coho::option_error);
  CHECK_THROWS_WITH(sapo_loss{}({.log_probs = two, .old_log_probs = one, .advantages = two}),
                    ContainsSubstring("old_log_probs"));
}
