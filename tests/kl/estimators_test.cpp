#include <span>
#include <vector>

#include <coho/kl/estimators.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using enum coho::kl_estimator;
using coho::kl_estimate;

namespace {
constexpr coho::kl_estimator all[] = {k1, k2, k3, absolute, k1_clamped, k3_straight_through};
}

TEMPLATE_TEST_CASE("log-prob -1 against references 0, -15, -30", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const auto p = make<TestType>({-1, -1, -1}), reference = make<TestType>({0, -15, -30});
  const auto check = [&](coho::kl_estimator estimator, double a, double b, double c) {
    const auto kl = kl_estimate(p, reference, estimator);
    STATIC_REQUIRE(std::is_same_v<typename std::remove_cvref_t<decltype(kl)>::Scalar, typename TestType::value_type>);
    CHECK(kl[0] == Approx(a).margin(5e-5));
    CHECK(kl[1] == Approx(b).epsilon(1e-6));
    CHECK(kl[2] == Approx(c).epsilon(1e-6));
  };
  check(k1, -1, 14, 29);
  check(k2, 0.5, 98, 420.5);
  check(k3, 0.7183, 13, 28);
  check(absolute, 1, 14, 29);
  check(k1_clamped, 0, 14, 29);
  check(k3_straight_through, 0.7183, 13, 28);
}

TEST_CASE("estimates of single numbers") {
  CHECK(kl_estimate(-1.0, -15.0) == 14.0);
  CHECK(kl_estimate(-1.0, -1.0, k3) == 0.0);
  CHECK(kl_estimate(-1.0, 0.0, k1_clamped) == 0.0);
}

TEST_CASE("k3 keeps its digits where the policies nearly agree") {
  // e^−d − 1 + d ≈ d²/2 − d³/6.
  const double d = 1e-6;
  CHECK(kl_estimate(d, 0.0, k3) == Approx(0.5 * d * d).epsilon(1e-3));
}

TEST_CASE("expectations over the policy: k1 and k3 are exact, k2 is close") {
  const Eigen::ArrayXd p = array({0.2, 0.5, 0.3}), q = array({0.25, 0.45, 0.3});
  const double exact = (p * (p / q).log()).sum();
  const auto expected = [&](coho::kl_estimator estimator) {
    return (p * kl_estimate(p.log(), q.log(), estimator)).sum();
  };
  CHECK(expected(k1) == Approx(exact).epsilon(1e-12));
  CHECK(expected(k3) == Approx(exact).epsilon(1e-12));
  CHECK(expected(k2) == Approx(exact).epsilon(0.05));
}

TEST_CASE("mistake 5: only k1 can be negative, and k1_clamped is k1 without that") {
  const Eigen::ArrayXd p = normals(200, 1), q = normals(200, 2);
  CHECK((kl_estimate(p, q, k1) < 0.0).any());
  for (const auto estimator : {k2, k3, absolute, k1_clamped, k3_straight_through})
    CHECK((kl_estimate(p, q, estimator) >= 0.0).all());
  CHECK((kl_estimate(p, q, k1_clamped) == (p - q).max(0.0)).all());
}

TEST_CASE("the KL of a policy with itself is 0") {
  const Eigen::ArrayXd p = normals(20, 1);
  for (const auto estimator : all) CHECK((kl_estimate(p, p, estimator) == 0.0).all());
}

TEST_CASE("NaN stays at its token and lengths are checked") {
  for (const auto estimator : all) {
    const auto kl = kl_estimate(array({not_a_number, -1}), array({-1, -2}), estimator);
    CHECK(std::isnan(kl[0]));
    CHECK(std::isfinite(kl[1]));
  }
  CHECK_THROWS_AS(kl_estimate(array({1, 2}), array({1})), coho::argument_error);
  CHECK(kl_estimate(std::vector<double>{}, std::vector<double>{}).size() == 0);
}

TEST_CASE("kl_loss: value, closed-form gradient and masks") {
  const Eigen::ArrayXd p = normals(12, 3), q = normals(12, 4);
  flags mask(12, 1);
  mask[4] = mask[9] = 0;
  const auto weights =
      coho::make_token_weights(mask, offsets{0, 5, 12}, {.kind = coho::reduction::sequence_mean_of_means});
  for (const auto estimator : all) {
    const coho::kl_loss loss{{.estimator = estimator}};
    const auto result = loss.value_and_grad(p, q, weights);
    CHECK(result.value == Approx(coho::weighted_sum(kl_estimate(p, q, estimator), weights)).epsilon(1e-12));
    CHECK(loss(p, q, weights) == result.value);
    // The straight-through estimator is defined by having another's gradient.
    const coho::kl_loss as{{.estimator = estimator == k3_straight_through ? k2 : estimator}};
    check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) { return as(x, q, weights); });
  }
  Eigen::ArrayXd broken = p;
  broken[4] = not_a_number;
  const auto result = coho::kl_loss{}.value_and_grad(broken, q, weights);
  CHECK(std::isfinite(result.value));
  CHECK(result.d_log_probs[4] == 0);
  broken[0] = not_a_number;
  CHECK_THROWS_AS(coho::kl_loss{}(broken, q, weights), coho::argument_error);
  CHECK_THROWS_AS(coho::kl_loss{}(p, q.head(3), weights), coho::argument_error);
  CHECK_THROWS_AS(coho::kl_loss{}(p.head(3), q.head(3), weights), coho::argument_error);
}

TEST_CASE("kl_loss: clip limits the log-ratio, on either side of either bound") {
  const coho::token_weights<Eigen::ArrayXd> one{array({1})};
  const auto at = [&](coho::kl_estimator estimator, double d) {
    return coho::kl_loss{{.estimator = estimator, .clip = 2}}.value_and_grad(array({d - 1}), array({-1}), one);
  };
  for (const auto estimator : all) {
    for (const double sign : {1.0, -1.0}) {
      const double inside = sign * 1.999999, outside = sign * 2.000001;
      const auto open = coho::kl_loss{{.estimator = estimator}}.value_and_grad(array({inside - 1}), array({-1}), one);
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
  for (const auto estimator : all) {
    const coho::kl_loss loss{{.estimator = estimator, .clip = 1.5}};
    const auto result = loss.value_and_grad(p, q, weights);
    CHECK(loss(p, q, weights) == result.value);
    CHECK((result.d_log_probs == 0.0).count() > 5);
    const coho::kl_loss as{{.estimator = estimator == k3_straight_through ? k2 : estimator, .clip = 1.5}};
    check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) { return as(x, q, weights); });
    const auto off = coho::kl_loss{{.estimator = estimator, .clip = 0}}.value_and_grad(p, q, weights);
    CHECK(off.value == Approx(coho::weighted_sum(kl_estimate(p, q, estimator), weights)).epsilon(1e-12));
  }
  CHECK_THROWS_AS(coho::kl_loss({.clip = -1}), coho::option_error);
  CHECK_THROWS_AS(coho::kl_loss({.clip = not_a_number}), coho::option_error);
  const coho::token_weights<Eigen::ArrayXd> one{array({1})};
  CHECK_THROWS_AS(coho::kl_loss({.clip = 1})(array({not_a_number}), array({1}), one), coho::argument_error);
}

TEST_CASE("a clipped KL loss does not hide log-probs that are not finite") {
  const auto weights = coho::make_token_weights(offsets{0, 2});
  const coho::kl_loss loss{{.clip = 5}};
  CHECK_THROWS_AS(loss(array({-1, -infinity}), array({-1, -1}), weights), coho::argument_error);
  CHECK_THROWS_AS(loss(array({-1, -1}), array({-1, -infinity}), weights), coho::argument_error);
}

TEST_CASE("k3 on arrays is precise from rounding to overflow, and the loss has its derivative") {
  using coho::kl_estimator;
  std::vector<double> d;
  for (double x : {1e-9, 1e-5, 0.3, 0.3466, 0.35, 1.0, 5.0, 36.0, 37.0, 300.0, 700.0}) d.insert(d.end(), {x, -x});
  const std::vector<double> zeros(d.size());
  const Eigen::ArrayXd kl = coho::kl_estimate(d, zeros, kl_estimator::k3);
  const coho::token_weights<Eigen::ArrayXd> weights{
      Eigen::ArrayXd::Constant(static_cast<Eigen::Index>(d.size()), 1e-3)};
  const auto loss = coho::kl_loss{{.estimator = kl_estimator::k3}}.value_and_grad(d, zeros, weights);
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
      const auto all = coho::kl_loss{{.estimator = e}}.value_and_grad(p, q, coho::token_weights<Eigen::ArrayXd>{w});
      double sum = 0;
      for (Eigen::Index t = 0; t < n; ++t) {
        if (w[t] == 0) {
          REQUIRE(all.d_log_probs[t] == 0.0);
          continue;
        }
        const Eigen::ArrayXd a = p.segment(t, 1), b = q.segment(t, 1), weight = w.segment(t, 1);
        const auto one =
            coho::kl_loss{{.estimator = e}}.value_and_grad(a, b, coho::token_weights<Eigen::ArrayXd>{weight});
        sum += one.value;
        REQUIRE(all.d_log_probs[t] == one.d_log_probs[0]);
      }
      CHECK(all.value == Approx(sum).epsilon(1e-13));
    }
  }
}
