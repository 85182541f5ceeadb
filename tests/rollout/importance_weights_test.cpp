#include <cmath>
#include <vector>

#include <coho/rollout/importance_weights.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::importance_weights, coho::importance_weights_options;
using enum coho::importance_form;
using coho::importance_level;

namespace {
// Weights of one sequence whose tokens have these ratios.
auto of_ratios(std::initializer_list<double> ratios, const importance_weights_options& options) {
  const Eigen::ArrayXd log_ratios = array(ratios).log();
  return importance_weights(log_ratios, Eigen::ArrayXd::Zero(log_ratios.size()), offsets{0, ratios.size()}, options);
}
bool near(const Eigen::ArrayXd& a, const Eigen::ArrayXd& b) {
  return a.size() == b.size() && ((a - b).abs() < 1e-12).all();
}
}  // namespace

TEST_CASE("truncated importance weights of tokens by hand") {
  const auto result = of_ratios({0.1, 1, 2, 5}, {.high = 2});
  CHECK(near(result.weights, array({0.1, 1, 2, 2})));
  CHECK(result.mean_weight == Approx(5.1 / 4));
  CHECK(result.limited_fraction == 0.25);
  CHECK(result.effective_sample_size == Approx(5.1 * 5.1 / (0.01 + 1 + 4 + 4)));
  CHECK(result.tokens == 4);
}

TEST_CASE("masked importance weights of tokens by hand, on either side of either bound") {
  const importance_weights_options options{.form = masked, .low = 0.5, .high = 2};
  CHECK(near(of_ratios({0.1, 1, 1.5, 5}, options).weights, array({0, 1, 1.5, 0})));
  CHECK(of_ratios({0.1, 1, 1.5, 5}, options).limited_fraction == 0.5);
  CHECK(near(of_ratios({0.499999, 0.500001, 1.999999, 2.000001}, options).weights, array({0, 0.500001, 1.999999, 0})));
  CHECK(near(of_ratios({1e-6, 3}, {.form = masked, .high = 2}).weights, array({1e-6, 0})));
}

TEST_CASE("importance weights of sequences: the product, and its geometric mean") {
  CHECK(near(of_ratios({0.5, 3}, {.level = importance_level::sequence, .high = 2}).weights, array({1.5, 1.5})));
  CHECK(near(of_ratios({2, 3}, {.level = importance_level::sequence, .high = 4}).weights, array({4, 4})));
  CHECK(near(of_ratios({2, 8}, {.level = importance_level::sequence_mean, .high = 5}).weights, array({4, 4})));
  CHECK(near(of_ratios({2, 8}, {.level = importance_level::sequence_mean, .high = 3}).weights, array({3, 3})));
  const auto masked_at = [](coho::importance_level level) {
    return of_ratios({2, 8}, {.form = masked, .level = level, .low = 0.5, .high = 5}).weights;
  };
  CHECK(near(masked_at(importance_level::sequence), array({0, 0})));
  CHECK(near(masked_at(importance_level::sequence_mean), array({4, 4})));
}

TEST_CASE("the sequence mask drops whole sequences by the geometric mean of their ratios") {
  const Eigen::ArrayXd log_ratios = array({2, 8, 0.1, 0.4, 1, 1.2, 3}).log(), zeros = Eigen::ArrayXd::Zero(7);
  const offsets slots{0, 2, 4, 4, 7};
  for (const auto form : {truncated, masked}) {
    const auto result = importance_weights(log_ratios, zeros, slots,
                                           {.form = form, .high = infinity, .sequence_low = 0.5, .sequence_high = 2});
    CHECK(near(result.weights, array({0, 0, 0, 0, 1, 1.2, 3})));
    CHECK(result.limited_fraction == Approx(4.0 / 7));
    CHECK(result.tokens == 7);
  }
  CHECK(near(importance_weights(log_ratios, zeros, slots, {.high = infinity, .sequence_low = 0.5}).weights,
             array({2, 8, 0, 0, 1, 1.2, 3})));
  CHECK(near(importance_weights(log_ratios, zeros, slots, {.high = 2, .sequence_high = 2}).weights,
             array({0, 0, 0.1, 0.4, 1, 1.2, 2})));
}

TEMPLATE_TEST_CASE("equal log-probs have importance weights 1", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  const auto p = make<TestType>({-1, -30, -0.1, -2});
  for (const auto form : {truncated, masked}) {
    for (const auto level : {importance_level::token, importance_level::sequence, importance_level::sequence_mean}) {
      const auto result = importance_weights(p, p, offsets{0, 3, 3, 4},
                                             {.form = form,
                                              .level = level,
                                              .low = form == masked ? 1.0 : 0.0,
                                              .high = 1,
                                              .sequence_low = 1,
                                              .sequence_high = 1});
      STATIC_REQUIRE(std::is_same_v<typename decltype(result.weights)::Scalar, typename TestType::value_type>);
      CHECK((result.weights == 1).all());
      CHECK(result.mean_weight == 1);
      CHECK(result.limited_fraction == 0);
      CHECK(result.effective_sample_size == 4);
    }
  }
}

TEST_CASE("untruncated importance weights are unbiased, truncated ones are not") {
  const Eigen::ArrayXd sampler = array({0.1, 0.2, 0.3, 0.4}), policy = array({0.4, 0.3, 0.2, 0.1}),
                       f = array({3, -1, 2, 5});
  const auto expected = [&](double high) {
    const auto w = importance_weights(policy.log(), sampler.log(), offsets{0, 1, 2, 3, 4}, {.high = high}).weights;
    return (sampler * w * f).sum();
  };
  CHECK(expected(infinity) == Approx((policy * f).sum()).epsilon(1e-12));
  CHECK(std::abs(expected(2) - (policy * f).sum()) > 0.5);
}

TEST_CASE("the product over a sequence is unbiased for functions of the whole sequence, the token's ratio is not") {
  // All sequences of two tokens; the second's distribution depends on the first.
  const Eigen::ArrayXd sampler_first = array({0.3, 0.7}), policy_first = array({0.6, 0.4});
  const Eigen::ArrayXXd sampler_second = (Eigen::ArrayXXd(2, 2) << 0.2, 0.8, 0.5, 0.5).finished();
  const Eigen::ArrayXXd policy_second = (Eigen::ArrayXXd(2, 2) << 0.4, 0.6, 0.9, 0.1).finished();
  double truth = 0, by_sequence = 0, by_token = 0;
  for (int a = 0; a < 2; ++a) {
    for (int b = 0; b < 2; ++b) {
      const double f = 1 + 2 * a + 5 * b * (1 - a);
      const Eigen::ArrayXd p = array({policy_first[a], policy_second(a, b)}).log();
      const Eigen::ArrayXd s = array({sampler_first[a], sampler_second(a, b)}).log();
      const double sampled = sampler_first[a] * sampler_second(a, b);
      truth += policy_first[a] * policy_second(a, b) * f;
      const auto weights = [&](coho::importance_level level) {
        return importance_weights(p, s, offsets{0, 2}, {.level = level, .high = infinity}).weights;
      };
      by_sequence += sampled * weights(importance_level::sequence)[0] * f;
      by_token += sampled * weights(importance_level::token)[1] * f;
    }
  }
  CHECK(by_sequence == Approx(truth).epsilon(1e-12));
  CHECK(std::abs(by_token - truth) > 0.1);
}

TEST_CASE("mistake 7: disagreement of sampler and trainer shows in the measures") {
  const Eigen::ArrayXd sampler = normals(1000, 1) - 3, policy = sampler + normals(1000, 2);
  const auto same = importance_weights(sampler, sampler, offsets{0, 1000});
  const auto other = importance_weights(policy, sampler, offsets{0, 1000});
  CHECK(same.effective_sample_size == Approx(1000));
  CHECK(other.effective_sample_size < 800);
  CHECK(other.limited_fraction == Approx(0.244).margin(0.05));  // P(e^x > 2) of a standard normal x
}

TEST_CASE("mistake 9: masked NaN does not reach importance weights") {
  const flags mask{1, 0, 1, 0};
  const auto p = array({std::log(2.0), not_a_number, std::log(8.0), infinity});
  const auto s = array({0, infinity, 0, not_a_number});
  const offsets slots{0, 3, 4};
  const auto mean = importance_weights(p, s, mask, slots, {.level = importance_level::sequence_mean, .high = 10});
  CHECK(near(mean.weights, array({4, 0, 4, 0})));
  CHECK(mean.mean_weight == Approx(4));
  CHECK(mean.effective_sample_size == Approx(2));
  CHECK(mean.tokens == 2);
  CHECK(near(importance_weights(p, s, mask, slots, {.high = 5}).weights, array({2, 0, 5, 0})));
  CHECK_THROWS_WITH(importance_weights(p, s, slots), ContainsSubstring("token 1"));
}

TEST_CASE("importance weights of diverged programs are finite, infinite ratios are errors") {
  const auto weight = [](double p, double s, coho::importance_level level) {
    const importance_weights_options options{.level = level, .high = infinity};
    return importance_weights(array({p, p}), array({s, s}), offsets{0, 2}, options).weights[0];
  };
  for (const auto level : {importance_level::token, importance_level::sequence, importance_level::sequence_mean}) {
    CHECK(weight(0, -2000, level) == Approx(std::exp(20.0)));
    CHECK(weight(-2000, 0, level) == Approx(std::exp(-20.0)));
  }
  CHECK(weight(15, 0, importance_level::sequence) == Approx(std::exp(20.0)));
  CHECK(weight(15, 0, importance_level::sequence_mean) == Approx(std::exp(15.0)));
  for (const double bad : {not_a_number, infinity, -infinity}) {
    CHECK_THROWS_AS(weight(bad, 0, importance_level::token), coho::argument_error);
    CHECK_THROWS_AS(weight(0, bad, importance_level::token), coho::argument_error);
  }
}

TEST_CASE("importance weights: empty input, options, lengths and offsets") {
  const Eigen::ArrayXd none, two = array({-1, -2}), one = array({-1});
  const auto nothing = importance_weights(none, none, offsets{0, 0});
  CHECK(nothing.weights.size() == 0);
  CHECK(nothing.mean_weight == 0);
  CHECK(nothing.effective_sample_size == 0);
  CHECK(importance_weights(one, one, flags{0}, offsets{0, 1}).mean_weight == 0);
  const auto all_dropped = importance_weights(two, two - 5.0, offsets{0, 2}, {.form = masked, .low = 0.5, .high = 2});
  CHECK((all_dropped.weights == 0.0).all());
  CHECK(all_dropped.effective_sample_size == 0);
  const auto with = [&](const importance_weights_options& options) {
    return importance_weights(two, two, offsets{0, 2}, options);
  };
  CHECK_THROWS_WITH(with({.form = masked, .low = -0.1}), ContainsSubstring("low"));
  CHECK_THROWS_AS(with({.form = masked, .low = 1.1}), coho::option_error);
  CHECK_THROWS_WITH(with({.low = 0.5}), ContainsSubstring("unless the form is masked"));
  CHECK_THROWS_WITH(with({.high = 0.9}), ContainsSubstring("high"));
  CHECK_THROWS_AS(with({.high = not_a_number}), coho::option_error);
  CHECK_THROWS_WITH(with({.sequence_low = 2}), ContainsSubstring("sequence_low"));
  CHECK_THROWS_WITH(with({.sequence_high = 0.5}), ContainsSubstring("sequence_high"));
  CHECK_THROWS_WITH(importance_weights(two, one, offsets{0, 2}), ContainsSubstring("sampler_log_probs"));
  CHECK_THROWS_WITH(importance_weights(two, two, flags{1}, offsets{0, 2}), ContainsSubstring("mask"));
  CHECK_THROWS_WITH(importance_weights(two, two, offsets{0, 1}), ContainsSubstring("offsets"));
}
