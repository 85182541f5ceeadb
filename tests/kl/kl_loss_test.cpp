#include <cmath>
#include <vector>

#include <coho/kl/estimators.hpp>
#include <coho/kl/kl_loss.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using enum coho::kl_estimator;
using coho::kl_estimate;

namespace {
constexpr coho::kl_estimator every_estimator[] = {k1, k2, k3, absolute, k1_clamped, k3_straight_through};
}

TEST_CASE("kl_loss: value, closed-form gradient and masks") {
  const Eigen::ArrayXd p = normals(12, 3), q = normals(12, 4);
  flags mask(12, 1);
  mask[4] = mask[9] = 0;
  const auto weights =
      coho::make_token_weights(mask, offsets{0, 5, 12}, {.kind = coho::reduction::sequence_mean_of_means});
  for (const auto estimator : every_estimator) {
    const coho::kl_loss loss{{.estimator = estimator}};
    const auto result = loss.value_and_grad({.log_probs = p, .reference_log_probs = q, .weights = weights});
    CHECK(result.value == Approx(coho::weighted_sum(kl_estimate(p, q, estimator), weights)).epsilon(1e-12));
    CHECK(loss({.log_probs = p, .reference_log_probs = q, .weights = weights}) == result.value);
    // The straight-through estimator is defined by having another's gradient.
    const coho::kl_loss as{{.estimator = estimator == k3_straight_through ? k2 : estimator}};
    check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) {
      return as({.log_probs = x, .reference_log_probs = q, .weights = weights});
    });
  }
  Eigen::ArrayXd broken = p;
  broken[4] = not_a_number;
  const auto result =
      coho::kl_loss{}.value_and_grad({.log_probs = broken, .reference_log_probs = q, .weights = weights});
  CHECK(std::isfinite(result.value));
  CHECK(result.d_log_probs[4] == 0);
  broken[0] = not_a_number;
  CHECK_THROWS_AS(coho::kl_loss{}({.log_probs = broken, .reference_log_probs = q, .weights = weights}),
                  coho::argument_error);
  CHECK_THROWS_AS(coho::kl_loss{}({.log_probs = p, .reference_log_probs = q.head(3), .weights = weights}),
                  coho::argument_error);
  CHECK_THROWS_AS(coho::kl_loss{}({.log_probs = p.head(3), .reference_log_probs = q.head(3), .weights = weights}),
                  coho::argument_error);
}

TEST_CASE("kl_loss: clip limits the log-ratio, on either side of either bound") {
  const coho::token_weights<Eigen::ArrayXd> one{array({1})};
  const auto at = [&](coho::kl_estimator estimator, double d) {
    return coho::kl_loss{{.estimator = estimator, .clip = 2}}.value_and_grad(
        {.log_probs = array({d - 1}), .reference_log_probs = array({-1}), .weights = one});
  };
  for (const auto estimator : every_estimator) {
    for (const double sign : {1.0, -1.0}) {
      const double inside = sign * 1.999999, outside = sign * 2.000001;
      const auto open = coho::kl_loss{{.estimator = estimator}}.value_and_grad(
          {.log_probs = array({inside - 1}), .reference_log_probs = array({-1}), .weights = one});
      CHECK(at(estimator, inside).value == Approx(open.value));
      CHECK(at(estimator, inside).d_log_probs[0] == Approx(open.d_log_probs[0]));
      CHECK(at(estimator, outside).value == Approx(kl_estimate(sign * 2, 0.0, estimator)));
      CHECK(at(estimator, outside).d_log_probs[0] == 0);
      CHECK(at(estimator, sign * 50).value == at(estimator, outside).value);
    }
  }
  CHECK(at(k3, -800).value == Approx(std::exp(2.0) - 3));  // without a limit e^800
  CHECK(at(k3, -800).d_log_probs[0] == 0);
}

TEST_CASE("kl_loss: the gradient with clip agrees with central differences, and clip 0 is off") {
  const Eigen::ArrayXd p = normals(40, 3, 2), q = normals(40, 4, 2);
  const auto weights = coho::make_token_weights(offsets{0, 15, 40});
  for (const auto estimator : every_estimator) {
    const coho::kl_loss loss{{.estimator = estimator, .clip = 1.5}};
    const auto result = loss.value_and_grad({.log_probs = p, .reference_log_probs = q, .weights = weights});
    CHECK(loss({.log_probs = p, .reference_log_probs = q, .weights = weights}) == result.value);
    CHECK((result.d_log_probs == 0.0).count() > 5);
    const coho::kl_loss as{{.estimator = estimator == k3_straight_through ? k2 : estimator, .clip = 1.5}};
    check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) {
      return as({.log_probs = x, .reference_log_probs = q, .weights = weights});
    });
    const auto off = coho::kl_loss{{.estimator = estimator, .clip = 0}}.value_and_grad(
        {.log_probs = p, .reference_log_probs = q, .weights = weights});
    CHECK(off.value == Approx(coho::weighted_sum(kl_estimate(p, q, estimator), weights)).epsilon(1e-12));
  }
  CHECK_THROWS_AS(coho::kl_loss({.clip = -1}), coho::option_error);
  CHECK_THROWS_AS(coho::kl_loss({.clip = not_a_number}), coho::option_error);
  const coho::token_weights<Eigen::ArrayXd> one{array({1})};
  CHECK_THROWS_AS(coho::kl_loss({.clip = 1})(
                      {.log_probs = array({not_a_number}), .reference_log_probs = array({1}), .weights = one}),
                  coho::argument_error);
}

TEST_CASE("a clipped KL loss does not hide log-probs that are not finite") {
  const auto weights = coho::make_token_weights(offsets{0, 2});
  const coho::kl_loss loss{{.clip = 5}};
  CHECK_THROWS_AS(
      loss({.log_probs = array({-1, -infinity}), .reference_log_probs = array({-1, -1}), .weights = weights}),
      coho::argument_error);
  CHECK_THROWS_AS(
      loss({.log_probs = array({-1, -1}), .reference_log_probs = array({-1, -infinity}), .weights = weights}),
      coho::argument_error);
}

TEST_CASE("k3 on arrays is precise from rounding to overflow, and the loss has its derivative") {
  using coho::kl_estimator;
  std::vector<double> d;
  for (double x : {1e-9, 1e-5, 0.3, 0.3466, 0.35, 1.0, 5.0, 36.0, 37.0, 300.0, 700.0}) d.insert(d.end(), {x, -x});
  const std::vector<double> zeros(d.size());
  const Eigen::ArrayXd kl = coho::kl_estimate(d, zeros, kl_estimator::k3);
  const coho::token_weights<Eigen::ArrayXd> weights{
      Eigen::ArrayXd::Constant(static_cast<Eigen::Index>(d.size()), 1e-3)};
  const auto loss = coho::kl_loss{{.estimator = kl_estimator::k3}}.value_and_grad(
      {.log_probs = d, .reference_log_probs = zeros, .weights = weights});
  for (std::size_t i = 0; i < d.size(); ++i) {
    const double x = -d[i], near = x * x * (0.5 + x / 6);
    const double expected = std::abs(x) < 1e-4 ? near : std::expm1(x) - x;
    const auto k = static_cast<Eigen::Index>(i);
    CHECK(std::abs(kl[k] - expected) <= 1e-14 * expected + (std::abs(x) < 1e-4 ? 1e-9 * near : 0.0));
    CHECK(std::abs(loss.d_log_probs[k] + 1e-3 * std::expm1(x)) <= 1e-15 * std::abs(std::expm1(x)));
  }
  const Eigen::ArrayXd far =
      coho::kl_estimate(std::vector<double>{800, -710, -1e4}, std::vector<double>(3), kl_estimator::k3);
  CHECK(far[0] == 799.0);
  CHECK(std::isinf(far[1]));
  CHECK(std::isinf(far[2]));
}

TEST_CASE("a whole block without masked tokens gives what its tokens give one by one") {
  using coho::kl_estimator;
  const Eigen::Index n = 2 * 256 + 5;
  Eigen::ArrayXd p(n), q(n), w = Eigen::ArrayXd::Constant(n, 0.01);
  for (Eigen::Index t = 0; t < n; ++t)
    p[t] = -0.01 * static_cast<double>(t), q[t] = -0.5 * std::sin(static_cast<double>(t));
  for (bool masked : {false, true}) {
    if (masked) w[7] = 0, w.segment(256, 256) = 0, p[7] = q[300] = std::nan("");
    for (auto e : {kl_estimator::k1, kl_estimator::k2, kl_estimator::k3, kl_estimator::absolute,
                   kl_estimator::k1_clamped, kl_estimator::k3_straight_through}) {
      const auto all = coho::kl_loss{{.estimator = e}}.value_and_grad(
          {.log_probs = p, .reference_log_probs = q, .weights = coho::token_weights<Eigen::ArrayXd>{w}});
      double sum = 0;
      for (Eigen::Index t = 0; t < n; ++t) {
        if (w[t] == 0) {
          REQUIRE(all.d_log_probs[t] == 0.0);
          continue;
        }
        const Eigen::ArrayXd a = p.segment(t, 1), b = q.segment(t, 1), weight = w.segment(t, 1);
        const auto one = coho::kl_loss{{.estimator = e}}.value_and_grad(
            {.log_probs = a, .reference_log_probs = b, .weights = coho::token_weights<Eigen::ArrayXd>{weight}});
        sum += one.value;
        REQUIRE(all.d_log_probs[t] == one.d_log_probs[0]);
      }
      CHECK(all.value == Approx(sum).epsilon(1e-13));
    }
  }
}

TEST_CASE("kl_loss without weights is the mean, and a forgotten reference is refused by name") {
  const Eigen::ArrayXd p = normals(7, 3), q = normals(7, 4);
  const auto weights = coho::make_token_weights(offsets{0, 7});
  for (const auto estimator : every_estimator) {
    const coho::kl_loss loss{{.estimator = estimator}};
    const auto mean = loss.value_and_grad({.log_probs = p, .reference_log_probs = q});
    const auto weighted = loss.value_and_grad({.log_probs = p, .reference_log_probs = q, .weights = weights});
    CHECK(mean.value == Approx(weighted.value).epsilon(1e-14));
    CHECK(mean.d_log_probs.isApprox(weighted.d_log_probs, 1e-14));
  }
  CHECK_THROWS_WITH(coho::kl_loss{}({.log_probs = p, .weights = weights}),
                    "kl_loss: reference_log_probs has 0 elements where 7 were expected");
}
