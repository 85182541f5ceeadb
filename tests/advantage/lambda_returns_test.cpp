#include <cmath>
#include <span>
#include <vector>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/lambda_returns.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::lambda_returns;

TEMPLATE_TEST_CASE("TD(lambda) returns of V = r = 0 0 0 1, discount 0.9, lambda 0.95", "", Eigen::ArrayXd,
                   Eigen::ArrayXf, std::vector<double>, std::vector<float>) {
  using inputs = coho::advantage_inputs<typename TestType::value_type>;
  const auto r = make<TestType>({0, 0, 0, 1});
  const auto returns =
      lambda_returns(inputs{.rewards = r, .values = r, .offsets = offsets{0, 4}}, {.gamma = 0.9, .lambda = 0.95});
  STATIC_REQUIRE(
      std::is_same_v<typename std::remove_cvref_t<decltype(returns)>::Scalar, typename TestType::value_type>);
  CHECK(returns[0] == Approx(0.6579).margin(5e-5));
  CHECK(returns[1] == Approx(0.7695).epsilon(1e-6));
  CHECK(returns[2] == Approx(0.9).epsilon(1e-6));
  CHECK(returns[3] == 1);
}

TEST_CASE("TD(lambda) returns are the advantages of gae plus the values") {
  const Eigen::ArrayXd rewards = normals(12, 1), values = normals(12, 2);
  const flags mask{1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0};
  const offsets sequences{0, 5, 5, 6, 12};
  for (const double gamma : {0.0, 0.7, 1.0}) {
    for (const double lambda : {0.0, 0.4, 1.0}) {
      const coho::gae_options options{.gamma = gamma, .lambda = lambda};
      const auto all = coho::gae({.rewards = rewards, .values = values, .offsets = sequences}, options);
      CHECK(lambda_returns({.rewards = rewards, .values = values, .offsets = sequences}, options)
                .isApprox(all.advantages + values, 1e-12));
      const auto masked =
          coho::gae({.rewards = rewards, .values = values, .mask = mask, .offsets = sequences}, options);
      CHECK(lambda_returns({.rewards = rewards, .values = values, .mask = mask, .offsets = sequences}, options)
                .isApprox(masked.returns, 1e-12));
    }
  }
}

TEST_CASE("TD(lambda) returns are the mean of n-step returns with weights (1 - lambda) lambda^(n - 1)") {
  const Eigen::ArrayXd r = normals(5, 3), v = normals(5, 4);
  const double gamma = 0.8, lambda = 0.6;
  const auto returns =
      lambda_returns({.rewards = r, .values = v, .offsets = offsets{0, 5}}, {.gamma = gamma, .lambda = lambda});
  const auto n_step = [&](Eigen::Index t, Eigen::Index n) {
    double sum = 0;
    for (Eigen::Index k = 0; k < n; ++k) sum += std::pow(gamma, k) * r[t + k];
    return sum + (t + n < 5 ? std::pow(gamma, n) * v[t + n] : 0.0);
  };
  for (Eigen::Index t = 0; t < 5; ++t) {
    const Eigen::Index last = 5 - t;  // the n-step return that reaches the end takes the weight of all longer ones
    double expected = std::pow(lambda, last - 1) * n_step(t, last);
    for (Eigen::Index n = 1; n < last; ++n) expected += (1 - lambda) * std::pow(lambda, n - 1) * n_step(t, n);
    CHECK(returns[t] == Approx(expected));
  }
}

TEST_CASE("lambda 0 gives one-step targets, lambda 1 rewards to come") {
  const Eigen::ArrayXd r = array({1, 2, 3}), v = array({10, 20, 30});
  CHECK((lambda_returns({.rewards = r, .values = v, .offsets = offsets{0, 3}}, {.gamma = 0.5, .lambda = 0}) ==
         array({11, 17, 3}))
            .all());
  CHECK((lambda_returns({.rewards = r, .values = v, .offsets = offsets{0, 3}}) == array({6, 5, 3})).all());
}

TEST_CASE("masked rewards and values do not leak into lambda returns, nor does a gap cost a discount") {
  const coho::gae_options options{.gamma = 0.9, .lambda = 0.8};
  const Eigen::ArrayXd masked = lambda_returns({.rewards = array({1, not_a_number, 2, 3, infinity}),
                                                .values = array({0.5, not_a_number, 0.25, 1, not_a_number}),
                                                .mask = flags{1, 0, 1, 1, 0},
                                                .offsets = offsets{0, 5}},
                                               options);
  const Eigen::ArrayXd without =
      lambda_returns({.rewards = array({1, 2, 3}), .values = array({0.5, 0.25, 1}), .offsets = offsets{0, 3}}, options);
  CHECK((masked == array({without[0], 0, without[1], without[2], 0})).all());
}

TEST_CASE("lambda returns keep sequences apart; they may be empty or of one token") {
  const Eigen::ArrayXd r = array({1, 2, 3}), v = array({9, 9, 9});
  const auto returns =
      lambda_returns({.rewards = r, .values = v, .offsets = offsets{0, 0, 1, 3, 3}}, {.gamma = 0.5, .lambda = 0});
  CHECK((returns == array({1, 6.5, 3})).all());
  CHECK(lambda_returns(coho::advantage_inputs<float>{
                           .rewards = std::vector<float>{}, .values = std::vector<float>{}, .offsets = offsets{0}})
            .size() == 0);
}

TEST_CASE("lambda returns name what does not fit") {
  const Eigen::ArrayXd x = array({1, 2, 3});
  CHECK_THROWS_AS(lambda_returns({.rewards = x, .values = array({1}), .offsets = offsets{0, 3}}), coho::argument_error);
  CHECK_THROWS_AS(lambda_returns({.rewards = x, .values = x, .mask = flags{1}, .offsets = offsets{0, 3}}),
                  coho::argument_error);
  CHECK_THROWS_AS(lambda_returns({.rewards = x, .values = x, .offsets = offsets{0, 2}}), coho::argument_error);
  CHECK_THROWS_AS(
      lambda_returns({.rewards = array({1, not_a_number}), .values = array({1, 1}), .offsets = offsets{0, 2}}),
      coho::argument_error);
  CHECK_THROWS_AS(lambda_returns({.rewards = array({1, 1}), .values = array({1, infinity}), .offsets = offsets{0, 2}},
                                 {.lambda = 0.5}),
                  coho::argument_error);
  CHECK_THROWS_WITH(lambda_returns({.rewards = x, .values = x, .offsets = offsets{0, 3}}, {.gamma = 1.1}),
                    Catch::Contains("gamma"));
  CHECK_THROWS_WITH(lambda_returns({.rewards = x, .values = x, .offsets = offsets{0, 3}}, {.lambda = -0.1}),
                    Catch::Contains("lambda"));
  CHECK_THROWS_AS(lambda_returns({.rewards = x, .values = x, .offsets = offsets{0, 3}}, {.lambda = not_a_number}),
                  coho::option_error);
}

TEST_CASE("lambda_returns have the returns' λ of gae, by length too") {
  const Eigen::ArrayXd r = normals(9, 1), v = normals(9, 2);
  const flags mask{1, 1, 0, 1, 1, 1, 1, 0, 1};
  const offsets two{0, 4, 9};
  for (const coho::gae_options& options : {coho::gae_options{.gamma = 0.9, .lambda = 0.8, .returns_lambda = 0.3},
                                           coho::gae_options{.gamma = 0.9, .length_alpha = 0.5}}) {
    const coho::advantage_inputs<double> in{.rewards = r, .values = v, .mask = mask, .offsets = two};
    const Eigen::ArrayXd expected = coho::gae(in, options).returns, found = coho::lambda_returns(in, options);
    for (Eigen::Index t = 0; t < 9; ++t) CHECK(found[t] == Approx(expected[t]).margin(1e-12));
  }
}
