#include <cmath>
#include <span>
#include <vector>

#include <coho/loss/reinforce.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::make_token_weights, coho::reinforce_loss;

TEST_CASE("REINFORCE of one token is minus its advantage times its log-probability") {
  CHECK(reinforce_loss{}(-1.5, 2.0) == 3);
  CHECK(reinforce_loss{}(-1.5F, -2.0F) == -3);
}

TEMPLATE_TEST_CASE("REINFORCE of three tokens by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::policy_loss_inputs<typename TestType::value_type>;
  const auto log_probs = make<TestType>({-1, -2, -0.5}), advantages = make<TestType>({1, -1, 4});
  CHECK(reinforce_loss{}(inputs{.log_probs = log_probs, .advantages = advantages}) == Approx(1.0 / 3));
  const auto result = reinforce_loss{}.value_and_grad(
      inputs{.log_probs = log_probs, .advantages = advantages, .weights = make_token_weights(offsets{0, 2, 3})});
  STATIC_REQUIRE(std::is_same_v<typename decltype(result.d_log_probs)::Scalar, typename TestType::value_type>);
  CHECK(result.value == Approx(1.0 / 3));
  CHECK(result.d_log_probs[0] == Approx(-1.0 / 3));
  CHECK(result.d_log_probs[1] == Approx(1.0 / 3));
  CHECK(result.d_log_probs[2] == Approx(-4.0 / 3));
  CHECK(result.tokens == 3);
  CHECK(reinforce_loss{}.value_and_grad(inputs{.log_probs = log_probs, .advantages = advantages}).d_log_probs[2] ==
        Approx(-4.0 / 3));
}

TEST_CASE("the gradient of REINFORCE agrees with central differences, masks and reductions included") {
  const Eigen::ArrayXd p = normals(20, 1), a = normals(20, 2);
  flags mask(20, 1);
  mask[3] = mask[19] = 0;
  using enum coho::reduction;
  for (const auto kind : {token_mean, sequence_mean_of_means, sequence_mean_of_sums, fixed_length}) {
    const auto weights = make_token_weights(mask, offsets{0, 7, 7, 8, 20}, {.kind = kind, .fixed_length = 12});
    const auto result = reinforce_loss{}.value_and_grad({.log_probs = p, .advantages = a, .weights = weights});
    CHECK(result.value ==
          Approx(reinforce_loss{}({.log_probs = p, .advantages = a, .weights = weights})).epsilon(1e-12));
    CHECK(result.d_log_probs[3] == 0);
    CHECK(result.tokens == 18);
    check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) {
      return reinforce_loss{}({.log_probs = x, .advantages = a, .weights = weights});
    });
  }
}

TEST_CASE("the expectation of REINFORCE's gradient is that of the expected reward, with any baseline") {
  // One token of a softmax policy: dJ/dz_v = p_v·(r_v − J); d log p_y/dz_v = 1[y = v] − p_v.
  const Eigen::ArrayXd logits = normals(5, 3), reward = normals(5, 4);
  const Eigen::ArrayXd p = logits.exp() / logits.exp().sum();
  const double expected_reward = (p * reward).sum();
  for (const double baseline : {0.0, 0.7}) {
    Eigen::ArrayXd gradient = Eigen::ArrayXd::Zero(5);
    for (Eigen::Index y = 0; y < 5; ++y) {
      const auto result = reinforce_loss{}.value_and_grad(
          {.log_probs = array({std::log(p[y])}), .advantages = array({reward[y] - baseline})});
      gradient += p[y] * result.d_log_probs[0] * -p;
      gradient[y] += p[y] * result.d_log_probs[0];
    }
    CHECK(gradient.isApprox(-p * (reward - expected_reward), 1e-12));
  }
}

TEST_CASE("mistake 9: masked NaN reaches neither REINFORCE nor its gradient") {
  const auto weights = make_token_weights(flags{1, 0, 1}, offsets{0, 3});
  for (const double bad : {not_a_number, infinity, -infinity}) {
    const auto result = reinforce_loss{}.value_and_grad(
        {.log_probs = array({-1, bad, -1}), .advantages = array({1, bad, 3}), .weights = weights});
    CHECK(result.value == Approx(2));
    CHECK((result.d_log_probs == array({-0.5, 0, -1.5})).all());
    CHECK(result.tokens == 2);
  }
}

TEST_CASE("mistake 8: REINFORCE gradients of parts with the batch's token count add up") {
  const Eigen::ArrayXd p = normals(10, 2), a = normals(10, 3);
  const auto whole = reinforce_loss{}.value_and_grad(
      {.log_probs = p, .advantages = a, .weights = make_token_weights(offsets{0, 2, 10})});
  const auto first =
      reinforce_loss{}.value_and_grad({.log_probs = p.head(2),
                                       .advantages = a.head(2),
                                       .weights = make_token_weights(offsets{0, 2}, {.token_normalizer = 10})});
  const auto second =
      reinforce_loss{}.value_and_grad({.log_probs = p.tail(8),
                                       .advantages = a.tail(8),
                                       .weights = make_token_weights(offsets{0, 8}, {.token_normalizer = 10})});
  CHECK(first.value + second.value == Approx(whole.value).epsilon(1e-12));
  CHECK(second.d_log_probs.isApprox(whole.d_log_probs.tail(8), 1e-12));
}

TEST_CASE("REINFORCE: empty input, mixed containers, bad values and lengths") {
  CHECK(reinforce_loss{}({.log_probs = Eigen::ArrayXd(), .advantages = Eigen::ArrayXd()}) == 0);
  CHECK(reinforce_loss{}
            .value_and_grad({.log_probs = Eigen::ArrayXd(), .advantages = Eigen::ArrayXd()})
            .d_log_probs.size() == 0);
  const auto masked = reinforce_loss{}.value_and_grad({.log_probs = array({not_a_number}),
                                                       .advantages = array({1}),
                                                       .weights = make_token_weights(flags{0}, offsets{0, 1})});
  CHECK(masked.value == 0);
  CHECK(masked.tokens == 0);
  const std::vector<float> p{-1, -1};
  CHECK(reinforce_loss{}(coho::policy_loss_inputs<float>{
            .log_probs = std::span<const float>(p), .advantages = array({1, 2}).cast<float>() * 2.0F}) == Approx(3));
  const Eigen::ArrayXd two = array({1, 2}), one = array({1});
  CHECK_THROWS_AS(reinforce_loss{}({.log_probs = array({not_a_number}), .advantages = one}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_loss{}({.log_probs = one, .advantages = array({infinity})}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_loss{}({.log_probs = array({-infinity}), .advantages = one}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_loss{}({.log_probs = two, .advantages = one}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_loss{}({.log_probs = two, .advantages = two, .weights = make_token_weights(offsets{0, 1})}),
                  coho::argument_error);
}
