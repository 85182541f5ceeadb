#include <cmath>
#include <vector>

#include <coho/loss/cispo.hpp>
#include <coho/loss/dppo.hpp>
#include <coho/loss/reinforce.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::dppo_loss, coho::make_token_weights;
using enum coho::token_divergence_kind;

namespace {

// dL/d log π of one token of probabilities p (now) and q (old).
double slope(const dppo_loss& loss, double p, double q, double advantage) {
  return loss
      .value_and_grad(
          {.log_probs = array({std::log(p)}), .old_log_probs = array({std::log(q)}), .advantages = array({advantage})})
      .d_log_probs[0];
}

double binary_kl(double q, double p) { return q * std::log(q / p) + (1 - q) * std::log((1 - q) / (1 - p)); }

// Log-probabilities of tokens, below 0.
Eigen::ArrayXd log_probabilities(Eigen::Index size, unsigned seed) { return -normals(size, seed).abs() - 0.05; }

}  // namespace

TEST_CASE("DPPO masks by total variation only what leads further out") {
  const dppo_loss loss{{.limit_high = 0.2, .limit_low = 0.1}};
  CHECK(slope(loss, 0.5, 0.31, 1) == Approx(-0.5 / 0.31));  // a ratio of 1.6 within the limit
  CHECK(slope(loss, 0.5, 0.29, 1) == 0);
  CHECK(slope(loss, 0.5, 0.29, -1) == Approx(0.5 / 0.29));  // back towards the old policy
  CHECK(slope(loss, 0.3, 0.39, -1) == Approx(0.3 / 0.39));
  CHECK(slope(loss, 0.3, 0.41, -1) == 0);
  CHECK(slope(loss, 0.3, 0.9, 1) == Approx(-0.3 / 0.9));
  CHECK(slope(loss, 0.001, 1e-5, 1) == Approx(-20));  // a rare token: far in ratio, near in probability
}

TEST_CASE("DPPO masks by the divergence of one token and the rest") {
  const double limit = 0.05;
  const dppo_loss loss{{.divergence = kl, .limit_high = limit, .limit_low = limit}};
  for (const auto& [p, q] : std::vector<std::pair<double, double>>{{0.5, 0.4}, {0.5, 0.3}, {0.2, 0.3}, {0.2, 0.6}}) {
    CAPTURE(p, q);
    const bool far = binary_kl(q, p) > limit;
    CHECK((slope(loss, p, q, 1) == 0) == (far && p > q));
    CHECK((slope(loss, p, q, -1) == 0) == (far && p < q));
  }
  CHECK(binary_kl(0.3, 0.5) > limit);
  CHECK(binary_kl(0.4, 0.5) < limit);
  CHECK(slope(loss, 1, 0.5, 1) == 0);  // certain: the divergence is large, not infinite
  CHECK(slope(loss, 1, 1, 1) == -1);
}

TEMPLATE_TEST_CASE("DPPO of three tokens by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::policy_loss_inputs<typename TestType::value_type>;
  const auto log_probs = make<TestType>({std::log(0.5), std::log(0.5), std::log(0.2)}), a = make<TestType>({1, 2, -1}),
             old = make<TestType>({std::log(0.4), std::log(0.25), std::log(0.25)});
  const auto result = dppo_loss{}.value_and_grad(inputs{.log_probs = log_probs, .old_log_probs = old, .advantages = a});
  CHECK(result.d_log_probs[0] == Approx(-1.25 / 3).epsilon(1e-6));
  CHECK(result.d_log_probs[1] == 0);  // 0.25 away
  CHECK(result.d_log_probs[2] == Approx(0.8 / 3).epsilon(1e-6));
  CHECK(result.value == Approx((-1.25 * std::log(0.5) + 0.8 * std::log(0.2)) / 3).epsilon(1e-6));
  CHECK(result.clip_fraction == Approx(1.0 / 3));
  CHECK(result.tokens == 3);
}

TEST_CASE("the gradient of DPPO is that of log pi with weight and mask held constant") {
  const Eigen::ArrayXd old = log_probabilities(60, 1), p = (old + normals(60, 2, 0.6)).min(-0.01), a = normals(60, 3);
  flags mask(60, 1);
  for (std::size_t t = 0; t < 60; t += 7) mask[t] = 0;
  for (const auto kind : {total_variation, coho::token_divergence_kind::kl}) {
    const auto weights = make_token_weights(mask, offsets{0, 10, 11, 11, 60});
    const dppo_loss loss{{.divergence = kind, .limit_high = 0.1, .limit_low = 0.05, .ratio_limit = 1.5}};
    const auto result =
        loss.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights});
    CHECK(result.clip_fraction > 0.05);
    CHECK(result.clip_fraction < 0.9);
    Eigen::ArrayXd held(60);
    for (Eigen::Index t = 0; t < 60; ++t) {
      const double now = std::exp(p[t]), before = std::exp(old[t]);
      const double d = kind == total_variation ? std::abs(now - before) : binary_kl(before, now);
      const bool out = a[t] > 0 ? now > before && d > 0.1 : now < before && d > 0.05;
      held[t] = out ? 0 : std::min(now / before, 1.5);
    }
    check_gradient(p, result.d_log_probs, [&](const Eigen::ArrayXd& x) {
      return coho::reinforce_loss{}({.log_probs = x, .advantages = a * held, .weights = weights});
    });
  }
}

TEST_CASE("mistake 6: at equal log-probs DPPO is REINFORCE; without limits it is CISPO without bounds") {
  const Eigen::ArrayXd p = log_probabilities(300, 1), old = log_probabilities(300, 2), a = normals(300, 3);
  const auto equal = dppo_loss{}.value_and_grad({.log_probs = p, .old_log_probs = p, .advantages = a});
  const auto plain = coho::reinforce_loss{}.value_and_grad({.log_probs = p, .advantages = a});
  CHECK((equal.d_log_probs == plain.d_log_probs).all());
  CHECK(equal.clip_fraction == 0);
  const dppo_loss open{{.limit_high = 2, .limit_low = 2, .ratio_limit = infinity}};
  const auto weighted =
      coho::cispo_loss{{.clip_high = infinity}}.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a});
  CHECK(
      (open.value_and_grad({.log_probs = p, .old_log_probs = old, .advantages = a}).d_log_probs == weighted.d_log_probs)
          .all());
}

TEST_CASE("mistake 9: masked NaN reaches neither DPPO nor its gradient") {
  const auto weights = make_token_weights(flags{1, 0, 1}, offsets{0, 3});
  for (const double bad : {not_a_number, infinity, -infinity}) {
    const auto result = dppo_loss{}.value_and_grad({.log_probs = array({-1, bad, -1}),
                                                    .old_log_probs = array({-1, bad, -1}),
                                                    .advantages = array({1, bad, 3}),
                                                    .weights = weights});
    CHECK((result.d_log_probs == array({-0.5, 0, -1.5})).all());
    CHECK(result.clip_fraction == 0);
    CHECK(result.tokens == 2);
  }
}

TEST_CASE("DPPO: NaN is an error, as are unusable options and lengths") {
  const Eigen::ArrayXd one = array({-1}), two = array({-1, -2});
  CHECK_THROWS_AS(dppo_loss{}({.log_probs = array({not_a_number}), .old_log_probs = one, .advantages = one}),
                  coho::argument_error);
  CHECK_THROWS_AS(dppo_loss{}({.log_probs = one, .old_log_probs = one, .advantages = array({not_a_number})}),
                  coho::argument_error);
  CHECK_THROWS_WITH(dppo_loss({.limit_high = 0}), ContainsSubstring("limit_high"));
  CHECK_THROWS_WITH(dppo_loss({.limit_low = -1}), ContainsSubstring("limit_low"));
  CHECK_THROWS_WITH(dppo_loss({.ratio_limit = 0.5}), ContainsSubstring("ratio_limit"));
  CHECK_THROWS_WITH(dppo_loss{}({.log_probs = two, .old_log_probs = one, .advantages = two}),
                    ContainsSubstring("old_log_probs"));
}
