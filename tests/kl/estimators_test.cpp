#include <cmath>
#include <span>
#include <vector>

#include <coho/kl/estimators.hpp>

#include "support/catch.hpp"
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
