#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include <coho/loss/gspo.hpp>
#include <coho/loss/ppo_clip.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::gspo_loss, coho::make_token_weights;

namespace {
// The loss of one sequence whose tokens have these ratios, all with one advantage and weights of the mean.
double one_sequence(const gspo_loss& loss, std::initializer_list<double> ratios, double advantage) {
  const Eigen::ArrayXd p = array(ratios).log();
  const Eigen::ArrayXd zeros = Eigen::ArrayXd::Zero(p.size());
  const offsets slots{0, ratios.size()};
  return loss({.log_probs = p,
               .old_log_probs = zeros,
               .advantages = Eigen::ArrayXd(zeros + advantage),
               .weights = make_token_weights(slots),
               .offsets = slots});
}
}  // namespace

TEST_CASE("GSPO's ratio is the geometric mean of the tokens' ratios") {
  const gspo_loss loss{{.clip_low = 0.9, .clip_high = 10}};
  CHECK(one_sequence(loss, {2, 8}, 1) == Approx(-4));
  CHECK(one_sequence(loss, {0.5, 2}, 3) == Approx(-3));
  CHECK(one_sequence(loss, {2, 2, 2}, -1) == Approx(2));
  CHECK(one_sequence(loss, {7}, 1) == Approx(-7));
}

TEST_CASE("GSPO clips a sequence's ratio, for either sign of the advantage") {
  const gspo_loss loss{{.clip_low = 0.2, .clip_high = 0.3}};
  CHECK(one_sequence(loss, {2, 8}, 1) == Approx(-1.3));
  CHECK(one_sequence(loss, {2, 8}, -1) == Approx(4));
  CHECK(one_sequence(loss, {0.25, 1}, 1) == Approx(-0.5));
  CHECK(one_sequence(loss, {0.25, 1}, -1) == Approx(0.8));
  // A token far outside the bounds counts for nothing where its sequence is inside.
  CHECK(one_sequence(loss, {3, 1.0 / 3}, 1) == Approx(-1));
  CHECK(one_sequence(gspo_loss{}, {1.001, 1.001}, 1) == Approx(-1.0004));
  CHECK(one_sequence(gspo_loss{}, {0.999, 0.999}, -1) == Approx(0.9997));
}

TEMPLATE_TEST_CASE("GSPO of two sequences by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::policy_loss_inputs<typename TestType::value_type>;
  const offsets slots{0, 2, 3};
  const auto p = make<TestType>({std::log(2.0), std::log(8.0), std::log(0.9)}), old = make<TestType>({0, 0, 0}),
             a = make<TestType>({1, 1, 2});
  const auto weights = make_token_weights(slots, {.kind = coho::reduction::sequence_mean_of_means});
  const gspo_loss loss{{.clip_low = 0.2, .clip_high = 0.3}};
  const auto result = loss.value_and_grad(
      inputs{.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights, .offsets = slots});
  STATIC_REQUIRE(std::is_same_v<typename decltype(result.d_log_probs)::Scalar, typename TestType::value_type>);
  CHECK(result.value == Approx(0.5 * -1.3 + 0.5 * -1.8).epsilon(1e-6));
  CHECK(loss(inputs{.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights, .offsets = slots}) ==
        Approx(result.value).epsilon(1e-12));
  CHECK(result.d_log_probs[0] == 0);
  CHECK(result.d_log_probs[1] == 0);
  CHECK(result.d_log_probs[2] == Approx(-0.9).epsilon(1e-6));
  CHECK(result.clip_fraction == Approx(2.0 / 3));
  CHECK(result.tokens == 3);
  const auto kl = [](double ratio) { return ratio - 1 - std::log(ratio); };
  CHECK(result.approximate_kl == Approx((kl(2) + kl(8) + kl(0.9)) / 3).epsilon(1e-5));
}

TEST_CASE("GSPO on either side of either bound") {
  const gspo_loss loss{{.clip_low = 0.2, .clip_high = 0.3}};
  const auto slope = [&](double ratio, double advantage) {
    const offsets slots{0, 2};
    const double x = std::log(ratio);
    const auto result = loss.value_and_grad({.log_probs = array({x + 1, x - 1}),
                                             .old_log_probs = array({0, 0}),
                                             .advantages = array({advantage, advantage}),
                                             .weights = make_token_weights(slots),
                                             .offsets = slots});
    CHECK(result.d_log_probs[0] == result.d_log_probs[1]);
    CHECK(result.clip_fraction == (result.d_log_probs[0] == 0 ? 1 : 0));
    return 2 * result.d_log_probs[0];
  };
  CHECK(slope(1.299999, 1) == Approx(-1.299999));
  CHECK(slope(1.300001, 1) == 0);
  CHECK(slope(1.300001, -1) == Approx(1.300001));
  CHECK(slope(0.800001, -1) == Approx(0.800001));
  CHECK(slope(0.799999, -1) == 0);
  CHECK(slope(0.799999, 1) == Approx(-0.799999));
}

TEST_CASE("the gradient of GSPO agrees with central differences, for advantages that vary within a sequence") {
  const offsets slots{0, 9, 9, 10, 25, 40};
  const Eigen::ArrayXd old = normals(40, 1), p = old + normals(40, 2, 0.4), varied = normals(40, 3);
  const Eigen::ArrayXd constant = coho::sequence_spread(array({-1, 1, 2, -0.5, 0.7}), slots);
  flags mask(40, 1);
  mask[2] = mask[10] = mask[39] = 0;
  using enum coho::reduction;
  for (const auto kind : {token_mean, sequence_mean_of_means, sequence_mean_of_sums, fixed_length}) {
    const auto weights = make_token_weights(mask, slots, {.kind = kind, .fixed_length = 12});
    for (const Eigen::ArrayXd& a : {varied, constant}) {
      for (const double clip : {3e-4, 0.05, 0.9}) {
        const gspo_loss loss{{.clip_low = clip, .clip_high = 1.3 * clip}};
        const auto result = loss.value_and_grad(
            {.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights, .offsets = slots});
        CHECK(
            result.value ==
            Approx(loss({.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights, .offsets = slots}))
                .epsilon(1e-12));
        CHECK((result.d_log_probs != 0.0).any());
        CHECK(result.d_log_probs[10] == 0);
        CHECK(result.tokens == 37);
        check_gradient(
            p, result.d_log_probs,
            [&](const Eigen::ArrayXd& x) {
              return loss(
                  {.log_probs = x, .old_log_probs = old, .advantages = a, .weights = weights, .offsets = slots});
            },
            1e-6);
      }
    }
  }
}

TEST_CASE("GSPO of responses of one token is PPO's clip") {
  const Eigen::ArrayXd old = normals(30, 1), p = old + normals(30, 2, 0.3), a = normals(30, 3);
  offsets slots(31);
  std::iota(slots.begin(), slots.end(), std::size_t{0});
  const auto weights = make_token_weights(slots);
  const auto found = gspo_loss{{.clip_low = 0.2, .clip_high = 0.3}}.value_and_grad(
      {.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights, .offsets = slots});
  const auto expected = coho::ppo_clip_loss{{.clip_low = 0.2, .clip_high = 0.3}}.value_and_grad(
      {.log_probs = p, .old_log_probs = old, .advantages = a, .weights = weights});
  CHECK(found.value == Approx(expected.value).epsilon(1e-12));
  CHECK(found.d_log_probs.isApprox(expected.d_log_probs, 1e-12));
  CHECK(found.clip_fraction == Approx(expected.clip_fraction));
  CHECK(found.approximate_kl == Approx(expected.approximate_kl));
}

TEST_CASE("mistake 6: at equal log-probs GSPO's ratio is exactly 1 and nothing is clipped") {
  const Eigen::ArrayXf p = normals(500, 1).cast<float>(), a = normals(500, 2).cast<float>();
  const offsets slots{0, 100, 500};
  const auto result = gspo_loss{}.value_and_grad(coho::policy_loss_inputs<float>{
      .log_probs = p, .old_log_probs = p, .advantages = a, .weights = make_token_weights(slots), .offsets = slots});
  CHECK(result.clip_fraction == 0);
  CHECK(result.approximate_kl == 0);
  CHECK(result.value == Approx(-a.cast<double>().mean()).epsilon(1e-12));
}

TEST_CASE("the order of GSPO's sequences does not matter") {
  const Eigen::ArrayXd p = normals(6, 1, 0.3), old = normals(6, 2, 0.3), a = normals(6, 3);
  const auto turned = [](const Eigen::ArrayXd& x) {
    Eigen::ArrayXd out(6);
    out << x.tail(4), x.head(2);
    return out;
  };
  const gspo_loss loss{{.clip_low = 0.1, .clip_high = 0.1}};
  const offsets one{0, 2, 6}, other{0, 4, 6};
  CHECK(loss({.log_probs = p,
              .old_log_probs = old,
              .advantages = a,
              .weights = make_token_weights(one),
              .offsets = one}) == Approx(loss({.log_probs = turned(p),
                                               .old_log_probs = turned(old),
                                               .advantages = turned(a),
                                               .weights = make_token_weights(other),
                                               .offsets = other}))
                                      .epsilon(1e-12));
}

TEST_CASE("mistake 9: masked NaN reaches neither GSPO nor its gradient") {
  const offsets slots{0, 3, 4};
  const auto weights = make_token_weights(flags{1, 0, 1, 0}, slots);
  for (const double bad : {not_a_number, infinity, -infinity}) {
    const auto result = gspo_loss{}.value_and_grad({.log_probs = array({-1, bad, -1, bad}),
                                                    .old_log_probs = array({-1, bad, -1, bad}),
                                                    .advantages = array({1, bad, 3, bad}),
                                                    .weights = weights,
                                                    .offsets = slots});
    CHECK(result.value == Approx(-2));
    // Tokens share the gradient of their sequence's ratio, and masked tokens are not counted in its length.
    CHECK((result.d_log_probs == array({-1, 0, -1, 0})).all());
    CHECK(result.approximate_kl == 0);
    CHECK(result.tokens == 2);
  }
}

TEST_CASE("GSPO: a diverged ratio is a finite number without gradient, NaN and infinity are errors") {
  const offsets slots{0, 1};
  const auto weights = make_token_weights(slots);
  const auto at = [&](double p, double old, double a) {
    return gspo_loss{}.value_and_grad({.log_probs = array({p}),
                                       .old_log_probs = array({old}),
                                       .advantages = array({a}),
                                       .weights = weights,
                                       .offsets = slots});
  };
  CHECK(at(0, -2000, -1).value == Approx(std::exp(20.0)));
  CHECK(at(0, -2000, -1).d_log_probs[0] == 0);
  CHECK(at(19.999, 0, -1).d_log_probs[0] == Approx(std::exp(19.999)));
  CHECK(std::isfinite(at(0, -2000, -1).approximate_kl));
  CHECK_THROWS_AS(at(not_a_number, 0, 1), coho::argument_error);
  CHECK_THROWS_AS(at(0, not_a_number, 1), coho::argument_error);
  CHECK_THROWS_AS(at(0, -infinity, 1), coho::argument_error);
  CHECK_THROWS_AS(at(0, 0, not_a_number), coho::argument_error);
}

TEST_CASE("GSPO: empty input, mixed containers, unusable options, lengths and offsets") {
  const Eigen::ArrayXd none;
  const auto nothing = gspo_loss{}.value_and_grad({.log_probs = none,
                                                   .old_log_probs = none,
                                                   .advantages = none,
                                                   .weights = make_token_weights(offsets{0, 0}),
                                                   .offsets = offsets{0, 0}});
  CHECK(nothing.value == 0);
  CHECK(nothing.clip_fraction == 0);
  CHECK(nothing.d_log_probs.size() == 0);
  const std::vector<float> p{-1, -1};
  const offsets slots{0, 2};
  const auto weights = make_token_weights(slots);
  CHECK(gspo_loss{}(coho::policy_loss_inputs<float>{.log_probs = std::span<const float>(p),
                                                    .old_log_probs = p,
                                                    .advantages = array({1, 2}).cast<float>() * 2.0F,
                                                    .weights = weights,
                                                    .offsets = slots}) == Approx(-3));
  CHECK_THROWS_WITH(gspo_loss({.clip_low = 0}), ContainsSubstring("clip_low"));
  CHECK_THROWS_AS(gspo_loss({.clip_low = 1}), coho::option_error);
  CHECK_THROWS_WITH(gspo_loss({.clip_high = 0}), ContainsSubstring("clip_high"));
  CHECK_THROWS_AS(gspo_loss({.clip_high = not_a_number}), coho::option_error);
  const Eigen::ArrayXd two = array({1, 2}), one = array({1});
  CHECK_THROWS_WITH(
      gspo_loss{}({.log_probs = two, .old_log_probs = one, .advantages = two, .weights = weights, .offsets = slots}),
      ContainsSubstring("old_log_probs"));
  CHECK_THROWS_WITH(
      gspo_loss{}({.log_probs = two, .old_log_probs = two, .advantages = one, .weights = weights, .offsets = slots}),
      ContainsSubstring("advantages"));
  CHECK_THROWS_WITH(gspo_loss{}({.log_probs = two,
                                 .old_log_probs = two,
                                 .advantages = two,
                                 .weights = make_token_weights(offsets{0, 1}),
                                 .offsets = slots}),
                    ContainsSubstring("weights"));
  CHECK_THROWS_WITH(
      gspo_loss{}(
          {.log_probs = two, .old_log_probs = two, .advantages = two, .weights = weights, .offsets = offsets{0, 1}}),
      ContainsSubstring("offsets"));
}
