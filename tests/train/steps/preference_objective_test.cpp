#include <cmath>
#include <cstddef>
#include <limits>

#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/train/steps/preference_objective.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::check_gradient, coho::test::normals;
using weights_type = token_weights<Eigen::ArrayXd>;

namespace {

constexpr Eigen::Index count = 6;

/// Six pairs of different lengths; log-probs are negative, as ORPO wants them.
preference_log_probs some_pairs() {
  preference_log_probs x;
  x.chosen_tokens = Eigen::ArrayXd{{1, 2, 3, 4, 2, 1}};
  x.rejected_tokens = Eigen::ArrayXd{{2, 2, 1, 5, 3, 1}};
  x.chosen = -x.chosen_tokens * (0.2 + normals(count, 1).abs());
  x.rejected = -x.rejected_tokens * (0.2 + normals(count, 2).abs());
  x.reference_chosen = x.chosen + normals(count, 3);
  x.reference_rejected = x.rejected + normals(count, 4);
  x.kl_baseline = 0.3;
  return x;
}

weights_type some_weights() { return {Eigen::ArrayXd{{0.1, 0.3, 0, 0.2, 0.15, 0.25}}}; }

/// Hinge of the log-probs.
struct own_loss {
  preference_gradient value_and_grad(const preference_log_probs& x, const weights_type& w) const {
    const Eigen::ArrayXd gap = 1 - (x.chosen - x.rejected), slope = w.values * (gap > 0).cast<double>();
    return {.value = (w.values * gap.max(0.0)).sum(), .d_chosen = -slope, .d_rejected = slope};
  }
};
struct own_loss_alone : own_loss {
  static constexpr bool needs_reference = false;
};
struct own_loss_of_responses : own_loss {
  static constexpr bool needs_pairs = false, needs_kl_baseline = true;
};
struct own_loss_by_object : own_loss {
  bool needs_pairs = true, needs_kl_baseline = false;
};
struct returns_a_number {
  double value_and_grad(const preference_log_probs&, const weights_type&) const { return 0; }
};

}  // namespace

TEST_CASE("preference losses are the library's and any that returns a preference gradient") {
  STATIC_REQUIRE(preference_loss<dpo_loss>);
  STATIC_REQUIRE(preference_loss<kto_loss>);
  STATIC_REQUIRE(preference_loss<orpo_loss>);
  STATIC_REQUIRE(preference_loss<simpo_loss>);
  STATIC_REQUIRE(preference_loss<cpo_loss>);
  STATIC_REQUIRE(preference_loss<own_loss>);
  STATIC_REQUIRE_FALSE(preference_loss<returns_a_number>);
  STATIC_REQUIRE_FALSE(preference_loss<int>);
  STATIC_REQUIRE(require_preference_loss<own_loss_alone>());
}

TEST_CASE("DPO, KTO and own losses need a reference, and KTO alone takes single responses") {
  CHECK(detail::needs_of(dpo_loss{}).reference);
  CHECK(detail::needs_of(kto_loss{}).reference);
  STATIC_REQUIRE(detail::needs_of(own_loss{}).reference);
  STATIC_REQUIRE_FALSE(detail::needs_of(own_loss_alone{}).reference);
  CHECK_FALSE(detail::needs_of(orpo_loss{}).reference);
  CHECK_FALSE(detail::needs_of(simpo_loss{}).reference);
  CHECK_FALSE(detail::needs_of(cpo_loss{}).reference);
  CHECK_FALSE(detail::needs_of(kto_loss{}).pairs);
  CHECK(detail::needs_of(dpo_loss{}).pairs);
  STATIC_REQUIRE(detail::needs_of(own_loss{}).pairs);
  CHECK(detail::needs_of(kto_loss{}).kl_baseline);
  CHECK_FALSE(detail::needs_of(dpo_loss{}).kl_baseline);
  STATIC_REQUIRE_FALSE(detail::needs_of(own_loss_of_responses{}).pairs);
  STATIC_REQUIRE(detail::needs_of(own_loss_of_responses{}).kl_baseline);
}

TEST_CASE("a loss may decide per object what it needs") {
  own_loss_by_object loss;
  CHECK_FALSE(detail::needs_of(loss).kl_baseline);
  loss.needs_kl_baseline = true;
  loss.needs_pairs = false;
  CHECK(detail::needs_of(loss).kl_baseline);
  CHECK_FALSE(detail::needs_of(loss).pairs);
  CHECK(detail::needs_of(loss).reference);
  STATIC_REQUIRE(detail::always_needs_kl_baseline<kto_loss>);
  STATIC_REQUIRE_FALSE(detail::always_needs_kl_baseline<dpo_loss>);
  STATIC_REQUIRE_FALSE(detail::always_needs_kl_baseline<own_loss_by_object>);
}

TEMPLATE_TEST_CASE("the objective's gradient is that of sums of log-probs for every loss", "", dpo_loss, kto_loss,
                   orpo_loss, simpo_loss, cpo_loss, own_loss) {
  const auto x = some_pairs();
  const auto weights = some_weights();
  const TestType loss;
  const auto result = detail::evaluate_preference_loss(loss, x, weights);
  CHECK(result.d_chosen.abs().maxCoeff() > 1e-4);
  CHECK(result.d_chosen(2) == 0);
  CHECK(result.d_rejected(2) == 0);
  check_gradient(x.chosen, result.d_chosen, [&](const Eigen::ArrayXd& chosen) {
    auto moved = x;
    moved.chosen = chosen;
    return detail::evaluate_preference_loss(loss, moved, weights).value;
  });
  check_gradient(x.rejected, result.d_rejected, [&](const Eigen::ArrayXd& rejected) {
    auto moved = x;
    moved.rejected = rejected;
    return detail::evaluate_preference_loss(loss, moved, weights).value;
  });
}

TEST_CASE("one pair of each objective by hand") {
  preference_log_probs x;
  x.chosen = Eigen::ArrayXd::Constant(1, -2);
  x.rejected = Eigen::ArrayXd::Constant(1, -6);
  x.reference_chosen = Eigen::ArrayXd::Constant(1, -3);
  x.reference_rejected = Eigen::ArrayXd::Constant(1, -5);
  x.chosen_tokens = Eigen::ArrayXd::Constant(1, 2);
  x.rejected_tokens = Eigen::ArrayXd::Constant(1, 4);
  const weights_type one{Eigen::ArrayXd::Ones(1)};
  const auto softplus = [](double z) { return std::log1p(std::exp(z)); };
  const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };

  // The log-ratios are 1 and −1.
  const auto dpo = detail::evaluate_preference_loss(dpo_loss{{.beta = 0.5}}, x, one);
  CHECK(dpo.value == Approx(softplus(-1)));
  CHECK(dpo.d_chosen(0) == Approx(-0.5 * sigmoid(-1)));
  CHECK(dpo.reward_difference == Approx(1));
  CHECK(dpo.accuracy == 1);

  // Means of −1 and −1.5, each a token's share of its sum.
  const auto simpo = detail::evaluate_preference_loss(simpo_loss{{.beta = 2, .gamma = 0.4}}, x, one);
  CHECK(simpo.value == Approx(softplus(-0.6)));
  CHECK(simpo.d_chosen(0) == Approx(-2 * sigmoid(-0.6) / 2));
  CHECK(simpo.d_rejected(0) == Approx(2 * sigmoid(-0.6) / 4));
  CHECK(simpo.reward_difference == Approx(1));
  const auto log_odds = [](double l) { return l - std::log1p(-std::exp(l)); };
  const double z = log_odds(-1) - log_odds(-1.5);
  CHECK(detail::evaluate_preference_loss(orpo_loss{{.lambda = 0.3}}, x, one).value == Approx(1 + 0.3 * softplus(-z)));

  // The sum's likelihood, a token of the chosen response.
  const auto cpo = detail::evaluate_preference_loss(cpo_loss{{.beta = 0.5, .nll_coefficient = 0.2}}, x, one);
  CHECK(cpo.value == Approx(softplus(-2) + 0.2 * 2.0 / 2));

  // Two responses of one term each, about the baseline 0.25.
  x.kl_baseline = 0.25;
  const kto_loss kto{{.beta = 0.5, .desirable_weight = 2, .undesirable_weight = 3}};
  const auto both = detail::evaluate_preference_loss(kto, x, one);
  CHECK(both.value == Approx(2 * (1 - sigmoid(0.5 * 0.75)) + 3 * (1 - sigmoid(0.5 * 1.25))));
  CHECK(both.d_chosen(0) == Approx(-2 * 0.5 * sigmoid(0.375) * sigmoid(-0.375)));
  CHECK(both.d_rejected(0) == Approx(3 * 0.5 * sigmoid(0.625) * sigmoid(-0.625)));
  CHECK(both.accuracy == 1);
}

TEST_CASE("a response that is missing has no part in KTO's objective") {
  auto x = some_pairs();
  x.chosen_tokens(0) = x.rejected_tokens(1) = 0;
  x.chosen(0) = x.rejected(1) = std::numeric_limits<double>::quiet_NaN();
  const auto weights = some_weights();
  const kto_loss loss;
  const auto result = detail::evaluate_preference_loss(loss, x, weights);
  CHECK(result.d_chosen(0) == 0);
  CHECK(result.d_rejected(1) == 0);
  CHECK(result.d_chosen(1) < 0);
  CHECK(result.d_rejected(0) > 0);
  double expected = 0;
  for (Eigen::Index i = 0; i < count; ++i) {
    const double w = weights.values(i);
    if (i != 0) expected += w * loss(x.chosen(i), x.reference_chosen(i), 1.0, x.kl_baseline);
    if (i != 1) expected += w * loss(x.rejected(i), x.reference_rejected(i), 0.0, x.kl_baseline);
  }
  CHECK(result.value == Approx(expected));
}

TEST_CASE("objectives of parts of a batch add up") {
  const auto x = some_pairs();
  const auto weights = some_weights();
  const auto part = [&](const auto& loss, Eigen::Index first, Eigen::Index n) {
    preference_log_probs p = x;
    for (auto member : {&preference_log_probs::chosen, &preference_log_probs::rejected,
                        &preference_log_probs::reference_chosen, &preference_log_probs::reference_rejected,
                        &preference_log_probs::chosen_tokens, &preference_log_probs::rejected_tokens}) {
      p.*member = (x.*member).segment(first, n).eval();
    }
    return detail::evaluate_preference_loss(loss, p, weights_type{weights.values.segment(first, n)});
  };
  const auto check = [&](const auto& loss) {
    const auto whole = detail::evaluate_preference_loss(loss, x, weights), first = part(loss, 0, 2),
               rest = part(loss, 2, 4);
    CHECK(first.value + rest.value == Approx(whole.value).epsilon(1e-12));
    CHECK(first.d_rejected.isApprox(whole.d_rejected.head(2)));
    CHECK(rest.d_chosen.isApprox(whole.d_chosen.tail(4)));
    CHECK(part(loss, 0, 0).value == 0);
  };
  check(dpo_loss{});
  check(kto_loss{});
  check(orpo_loss{});
  check(simpo_loss{});
  check(cpo_loss{});
  check(own_loss{});
}

TEST_CASE("what an own preference loss returns is checked") {
  struct broken_loss {
    preference_gradient out{};
    preference_gradient value_and_grad(const preference_log_probs&, const weights_type&) const { return out; }
  };
  preference_log_probs x;
  x.chosen = x.rejected = Eigen::ArrayXd::Constant(1, -1);
  const weights_type weights{Eigen::ArrayXd::Ones(1)};
  const Eigen::ArrayXd one = Eigen::ArrayXd::Zero(1), two = Eigen::ArrayXd::Zero(2), bad = one / 0.0;
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const auto refuse = [&](const preference_gradient& out, const char* message) {
    CHECK_THROWS_WITH(detail::evaluate_preference_loss(broken_loss{out}, x, weights), ContainsSubstring(message));
    CHECK_THROWS_AS(detail::evaluate_preference_loss(broken_loss{out}, x, weights), argument_error);
  };
  const auto kept = detail::evaluate_preference_loss(
      broken_loss{{.value = 1, .d_chosen = one, .d_rejected = one, .reward_difference = 2}}, x, weights);
  CHECK(kept.value == 1);
  CHECK(kept.reward_difference == 2);
  refuse({.d_chosen = two, .d_rejected = one}, "d_chosen of the preference loss: the model returned 2 numbers");
  refuse({.d_chosen = one, .d_rejected = two}, "d_rejected of the preference loss: the model returned 2 numbers");
  refuse({.d_chosen = bad, .d_rejected = one}, "d_chosen");
  refuse({.d_chosen = one, .d_rejected = bad}, "d_rejected");
  refuse({.value = nan, .d_chosen = one, .d_rejected = one}, "not finite");
  refuse({.value = infinity, .d_chosen = one, .d_rejected = one}, "not finite");
  refuse({.d_chosen = one, .d_rejected = one, .accuracy = nan}, "not finite");
  refuse({.d_chosen = one, .d_rejected = one, .reward_difference = nan}, "not finite");
}
