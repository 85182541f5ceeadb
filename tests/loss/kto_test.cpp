#include <cmath>
#include <vector>

#include <coho/loss/kto.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/loss_inputs.hpp"
#include "support/test_arrays.hpp"
#include "support/thread_ranks.hpp"

using namespace coho::test;
using coho::kto_baseline, coho::kto_loss;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

TEST_CASE("a fresh KTO run without a baseline starts at one half") {
  CHECK(kto_loss{}(-5.0, -5.0, 1.0, 0.0) == 0.5);
  CHECK(kto_loss{}(-5.0, -5.0, 0.0, 0.0) == 0.5);
}

TEMPLATE_TEST_CASE("KTO of two desirable and one undesirable response by hand", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  // β(r − z0) = 0.5, −0.7 and 0.5 at z0 = 5.
  const auto log_probs = make<TestType>({-10, -22, -10}), reference = make<TestType>({-20, -20, -20});
  const kto_loss loss{{.beta = 0.1, .desirable_weight = 1, .undesirable_weight = 2}};
  const double expected = (0.3775406688 + 0.6681877722 + 2 * 0.6224593312) / 3;
  const auto result = loss.value_and_grad(judged(log_probs, reference, flags{1, 1, 0}, 5.0));
  CHECK(result.value == Approx(expected).epsilon(1e-7));
  CHECK(loss(judged(log_probs, reference, make<TestType>({1, 1, 0}), 5.0)) == Approx(expected).epsilon(1e-7));
  CHECK(loss(judged(log_probs, reference, std::vector<bool>{true, true, false}, 5.0)) ==
        Approx(expected).epsilon(1e-7));
  const double slope = 0.1 * 0.3775406688 * 0.6224593312;
  CHECK(result.d_log_probs[0] == Approx(-slope / 3).epsilon(1e-6));
  CHECK(result.d_log_probs[2] == Approx(2 * slope / 3).epsilon(1e-6));
  CHECK(result.accuracy == Approx(1.0 / 3));
  CHECK(result.margin == Approx((0.5 - 0.7 - 0.5) / 3).epsilon(1e-6));
}

TEST_CASE("KTO's gradients agree with central differences") {
  const Eigen::ArrayXd log_probs = normals(15, 1, 6), reference = normals(15, 2, 6);
  flags desirable(15, 0);
  for (const int i : {0, 3, 4, 8, 9, 14}) desirable[static_cast<std::size_t>(i)] = 1;
  Eigen::ArrayXd factors = normals(15, 5).abs();
  factors[3] = 0;
  const weights_type weights{factors};
  for (const auto& options :
       {coho::kto_options{}, coho::kto_options{.beta = 0.7}, coho::kto_options{.desirable_weight = 1.3},
        coho::kto_options{.undesirable_weight = 0.4}, coho::kto_options{.desirable_weight = 0}}) {
    const kto_loss loss{options};
    for (const double baseline : {0.0, 1.5}) {
      const auto result = loss.value_and_grad(judged(log_probs, reference, desirable, baseline, weights));
      CHECK(result.value == Approx(loss(judged(log_probs, reference, desirable, baseline, weights))).epsilon(1e-12));
      CHECK(result.d_log_probs[3] == 0);
      check_gradient(log_probs, result.d_log_probs,
                     [&](const Eigen::ArrayXd& x) { return loss(judged(x, reference, desirable, baseline, weights)); });
      check_gradient(log_probs, loss.value_and_grad(judged(log_probs, reference, desirable, baseline)).d_log_probs,
                     [&](const Eigen::ArrayXd& x) { return loss(judged(x, reference, desirable, baseline)); });
    }
  }
}

TEST_CASE("KTO pulls hardest at the baseline and saturates on both sides") {
  const Eigen::ArrayXd zero = Eigen::ArrayXd::Zero(3), r = array({-40, 2, 44}), ones = array({1, 1, 1});
  for (const auto& desirable : {ones, zero}) {
    const auto slopes = kto_loss{{.beta = 1}}.value_and_grad(judged(r, zero, desirable, 2.0)).d_log_probs;
    CHECK(std::abs(slopes[1]) == Approx(0.25 / 3));
    CHECK(std::abs(slopes[0]) == Approx(std::exp(-42.0) / 3));
    CHECK(std::abs(slopes[2]) == Approx(std::exp(-42.0) / 3));
  }
}

TEST_CASE("KTO's two losses of one response sum to its weight") {
  for (const double r : {-7.0, 0.0, 0.3, 90.0}) {
    CHECK(kto_loss{}(r, 0.0, 1.0, 0.5) + kto_loss{}(r, 0.0, 0.0, 0.5) == Approx(1).epsilon(1e-14));
  }
}

TEST_CASE("KTO sees only the log-ratio, and the loss of a response falls as it moves to its side") {
  CHECK(kto_loss{}(-3.0, -8.0, 1.0, 1.0) == Approx(kto_loss{}(7.0, 2.0, 1.0, 1.0)).epsilon(1e-14));
  CHECK(kto_loss{}(1.0, 0.0, 1.0, 0.0) < kto_loss{}(0.5, 0.0, 1.0, 0.0));
  CHECK(kto_loss{}(1.0, 0.0, 0.0, 0.0) > kto_loss{}(0.5, 0.0, 0.0, 0.0));
}

TEST_CASE("KTO of extreme log-probs stays within its bounds and keeps small losses") {
  const kto_loss loss{{.beta = 1}};
  CHECK(loss(-1e6, 0.0, 1.0, 0.0) == 1);
  CHECK(loss(1e6, 0.0, 1.0, 0.0) == 0);
  CHECK(loss(40.0, 0.0, 1.0, 0.0) == Approx(std::exp(-40.0)));
  CHECK(loss(-40.0, 0.0, 0.0, 0.0) == Approx(std::exp(-40.0)));
}

TEST_CASE("KTO leaves responses of weight 0 out, NaN and all") {
  const auto result = kto_loss{}.value_and_grad(judged(array({1, not_a_number}), array({1, not_a_number}),
                                                       array({1, not_a_number}), 0.0, weights_type{array({1, 0})}));
  CHECK(result.value == 0.5);
  CHECK(result.d_log_probs[1] == 0);
  CHECK(result.accuracy == 0.5);
  CHECK_THROWS_AS(kto_loss{}(judged(array({not_a_number}), array({0}), array({1}), 0.0)), coho::argument_error);
  CHECK_THROWS_WITH(kto_loss{}(judged(array({1}), array({0}), array({not_a_number}), 0.0)),
                    Catch::Contains("desirable is NaN"));
}

TEST_CASE("no responses, unusable options, baselines and lengths of KTO") {
  const Eigen::ArrayXd none, one = array({1}), two = array({1, 2});
  CHECK(kto_loss{}(judged(none, none, none, 0.0)) == 0);
  CHECK(kto_loss{}.value_and_grad(judged(none, none, flags{}, 0.0)).d_log_probs.size() == 0);
  CHECK_THROWS_WITH(kto_loss({.beta = 0}), Catch::Contains("option beta"));
  CHECK_THROWS_WITH(kto_loss({.desirable_weight = -1}), Catch::Contains("option desirable_weight"));
  CHECK_THROWS_WITH(kto_loss({.undesirable_weight = not_a_number}), Catch::Contains("option undesirable_weight"));
  CHECK_THROWS_AS(kto_loss({.desirable_weight = infinity}), coho::option_error);
  CHECK_THROWS_WITH(kto_loss{}(judged(two, two, two, -0.1)), Catch::Contains("kl_baseline"));
  CHECK_THROWS_WITH(kto_loss{}(1.0, 1.0, 1.0, not_a_number), Catch::Contains("kl_baseline"));
  CHECK_THROWS_AS(kto_loss{}.value_and_grad(judged(two, two, two, infinity)), coho::argument_error);
  CHECK_THROWS_WITH(kto_loss{}({.log_probs = two, .reference_log_probs = two, .desirable = two}),
                    Catch::Contains("kl_baseline"));
  CHECK_THROWS_WITH(kto_loss{}({.log_probs = two, .desirable = two, .kl_baseline = 0}),
                    Catch::Contains("reference_log_probs"));
  CHECK_THROWS_WITH(kto_loss{}({.log_probs = two, .reference_log_probs = two, .kl_baseline = 0}),
                    Catch::Contains("desirable"));
  CHECK_THROWS_WITH(kto_loss{}(judged(two, one, two, 0.0)), Catch::Contains("reference_log_probs"));
  CHECK_THROWS_WITH(kto_loss{}(judged(two, two, one, 0.0)), Catch::Contains("desirable"));
  CHECK_THROWS_AS(kto_loss{}(judged(two, two, two, 0.0, weights_type{one})), coho::argument_error);
}

TEMPLATE_TEST_CASE("the KTO baseline is the mean log-ratio, never below 0", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  CHECK(kto_baseline(make<TestType>({-1, -2, -6}), make<TestType>({-4, -5, -3})) == Approx(1).epsilon(1e-6));
  CHECK(kto_baseline(make<TestType>({-4, -5, -3}), make<TestType>({-1, -2, -6})) == 0);
  CHECK(kto_baseline(make<TestType>({}), make<TestType>({})) == 0);
}

TEST_CASE("the KTO baseline is over the pairs of all ranks, whatever each has") {
  const Eigen::ArrayXd log_probs = normals(7, 1, 3) + 2.0, reference = normals(7, 2, 3);
  const double expected = kto_baseline(log_probs, reference);
  REQUIRE(expected > 0.1);
  double found[3] = {-1, -1, -1};
  run_ranks(3, [&](auto& ranks) {
    // 2, 0 and 5 pairs.
    const int begin[] = {0, 2, 2, 7};
    const auto rank = ranks.rank();
    const int count = begin[rank + 1] - begin[rank];
    found[rank] = kto_baseline(log_probs.segment(begin[rank], count), reference.segment(begin[rank], count), ranks);
  });
  for (const double x : found) CHECK(x == Approx(expected).epsilon(1e-12));
}

TEST_CASE("bad input of the KTO baseline is an error on every rank") {
  CHECK_THROWS_WITH(kto_baseline(array({1, 2}), array({1})), Catch::Contains("reference_log_probs"));
  CHECK_THROWS_WITH(kto_baseline(array({1, not_a_number}), array({1, 1})), Catch::Contains("not finite"));
  CHECK_THROWS_AS(kto_baseline(array({infinity}), array({1})), coho::argument_error);
  int errors[2] = {0, 0};
  run_ranks(2, [&](auto& ranks) {
    try {
      kto_baseline(array({ranks.rank() == 0 ? not_a_number : 1.0}), array({0}), ranks);
    } catch (const coho::argument_error&) {
      errors[ranks.rank()] = 1;
    }
  });
  CHECK(errors[0] + errors[1] == 2);
}
