#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <coho/loss/bradley_terry.hpp>
#include <coho/loss/plackett_luce.hpp>

#include "support/catch.hpp"
#include "support/finite_difference.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::plackett_luce_loss;
using weights_type = coho::token_weights<Eigen::ArrayXd>;

TEST_CASE("rankings by equal scores cost the logarithm of the number of orders") {
  CHECK(plackett_luce_loss{}(array({3, 3, 3, 3}), offsets{0, 4}) == Approx(std::log(24.0)).epsilon(1e-14));
  CHECK(plackett_luce_loss{{.top = 1}}(array({3, 3, 3, 3}), offsets{0, 4}) == Approx(std::log(4.0)).epsilon(1e-14));
  CHECK(plackett_luce_loss{{.top = 2}}(array({3, 3, 3, 3}), offsets{0, 4}) == Approx(std::log(12.0)).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("a ranking of three and one of two by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  // Scores 3 2 1: log(e³ + e² + e) − 3, then log(1 + e⁻¹); scores 0 1: log(1 + e).
  const auto scores = make<TestType>({3, 2, 1, 0, 1});
  const auto result = plackett_luce_loss{}.value_and_grad(scores, offsets{0, 3, 5});
  const double expected = (0.4076059644 + 0.3132616875 + 1.3132616875) / 2;
  CHECK(result.value == Approx(expected).epsilon(1e-7));
  CHECK(plackett_luce_loss{}(scores, offsets{0, 3, 5}) == Approx(expected).epsilon(1e-7));
  CHECK(plackett_luce_loss{{.top = 1}}(scores, offsets{0, 3, 5}) ==
        Approx((0.4076059644 + 1.3132616875) / 2).epsilon(1e-7));
  // Softmax (0.66524, 0.24473, 0.09003), then (0.73106, 0.26894).
  CHECK(result.d_scores[0] == Approx((0.6652409558 - 1) / 2).epsilon(1e-6));
  CHECK(result.d_scores[1] == Approx((0.2447284711 + 0.7310585786 - 1) / 2).epsilon(1e-6));
  CHECK(result.d_scores[2] == Approx((0.0900305732 + 0.2689414214) / 2).epsilon(1e-6));
  CHECK(result.d_scores[3] == Approx(-0.7310585786 / 2).epsilon(1e-6));
  CHECK(result.accuracy == Approx(3.0 / 4));
}

TEST_CASE("rankings of two are Bradley–Terry pairs") {
  const Eigen::ArrayXd r = normals(9, 1, 3), s = normals(9, 2, 3);
  Eigen::ArrayXd scores(18);
  offsets groups{0};
  for (Eigen::Index i = 0; i < 9; ++i) {
    scores[2 * i] = r[i];
    scores[2 * i + 1] = s[i];
    groups.push_back(static_cast<std::size_t>(2 * i + 2));
  }
  const auto pairs = coho::bradley_terry_loss{}.value_and_grad({.chosen = r, .rejected = s});
  for (const std::size_t top : {0, 1, 5}) {
    const auto rankings = plackett_luce_loss{{.top = top}}.value_and_grad(scores, groups);
    CHECK(rankings.value == Approx(pairs.value).epsilon(1e-13));
    CHECK(rankings.accuracy == Approx(pairs.accuracy));
    for (Eigen::Index i = 0; i < 9; ++i) {
      CHECK(rankings.d_scores[2 * i] == Approx(pairs.d_chosen[i]).epsilon(1e-12));
      CHECK(rankings.d_scores[2 * i + 1] == Approx(pairs.d_rejected[i]).epsilon(1e-12));
    }
  }
}

TEST_CASE("the probabilities of all orders sum to 1, and those of the first places too") {
  const std::array<double, 4> scores{0.3, -1.2, 2.0, 0.7};
  std::array<std::size_t, 4> order{0, 1, 2, 3};
  double all = 0, first_two = 0;
  do {
    const Eigen::ArrayXd ranked = array({scores[order[0]], scores[order[1]], scores[order[2]], scores[order[3]]});
    all += std::exp(-plackett_luce_loss{}(ranked, offsets{0, 4}));
    // Each pair of first places is met with 2 orders of the rest.
    first_two += std::exp(-plackett_luce_loss{{.top = 2}}(ranked, offsets{0, 4})) / 2;
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(all == Approx(1).epsilon(1e-13));
  CHECK(first_two == Approx(1).epsilon(1e-13));
}

TEST_CASE("the gradient of rankings agrees with central differences for every number of places") {
  const Eigen::ArrayXd scores = normals(16, 1, 2);
  const offsets groups{0, 5, 5, 6, 8, 16};
  const weights_type weights{array({0.5, 1, 2, 0, 0.1})};
  for (const std::size_t top : {0, 1, 2, 4, 100}) {
    const plackett_luce_loss loss{{.top = top}};
    const auto result = loss.value_and_grad(scores, groups, weights);
    CHECK(result.value == Approx(loss(scores, groups, weights)).epsilon(1e-13));
    CHECK(result.d_scores[6] == 0);
    CHECK(result.d_scores[5] == 0);
    check_gradient(scores, result.d_scores, [&](const Eigen::ArrayXd& x) { return loss(x, groups, weights); });
    check_gradient(scores, loss.value_and_grad(scores, groups).d_scores,
                   [&](const Eigen::ArrayXd& x) { return loss(x, groups); });
    CHECK(result.d_scores.head(5).sum() == Approx(0).margin(1e-14));
  }
}

TEST_CASE("beyond the last place top changes nothing, and the tail's order does not matter") {
  const Eigen::ArrayXd scores = normals(6, 1);
  const double all = plackett_luce_loss{}(scores, offsets{0, 6});
  CHECK(plackett_luce_loss{{.top = 5}}(scores, offsets{0, 6}) == all);
  CHECK(plackett_luce_loss{{.top = 6}}(scores, offsets{0, 6}) == all);
  Eigen::ArrayXd turned = scores;
  std::swap(turned[3], turned[5]);
  const plackett_luce_loss top{{.top = 3}};
  CHECK(top(turned, offsets{0, 6}) == Approx(top(scores, offsets{0, 6})).epsilon(1e-14));
  CHECK(plackett_luce_loss{}(turned, offsets{0, 6}) != Approx(all).epsilon(1e-3));
}

TEST_CASE("each ranking only sees differences of its scores") {
  Eigen::ArrayXd scores = normals(7, 1);
  const double expected = plackett_luce_loss{}(scores, offsets{0, 3, 7});
  scores.head(3) += 100;
  scores.tail(4) -= 50;
  CHECK(plackett_luce_loss{}(scores, offsets{0, 3, 7}) == Approx(expected).epsilon(1e-12));
}

TEST_CASE("rankings with extreme scores neither overflow nor lose small losses") {
  CHECK(plackett_luce_loss{}(array({-5000, 0, 5000}), offsets{0, 3}) == Approx(15000));
  CHECK(plackett_luce_loss{}(array({5000, 0, -5000}), offsets{0, 3}) == 0);
  const auto small = plackett_luce_loss{}.value_and_grad(array({80, 40, 0}), offsets{0, 3});
  CHECK(small.value == Approx(2 * std::exp(-40.0)));
  CHECK(small.d_scores[0] == Approx(-std::exp(-40.0)));
  CHECK(small.d_scores[2] == Approx(std::exp(-40.0)));
  const auto large = plackett_luce_loss{}.value_and_grad(array({-5000, 0, 5000}), offsets{0, 3});
  CHECK(large.d_scores[0] == Approx(-1));
  CHECK(large.d_scores[1] == Approx(-1));
  CHECK(large.d_scores[2] == Approx(2));
}

TEST_CASE("groups of one answer or none add nothing, and are counted") {
  CHECK(plackett_luce_loss{}(array({1, 0, not_a_number}), offsets{0, 0, 2, 3}) == Approx(0.3132616875 / 3));
  CHECK(plackett_luce_loss{}(array({7}), offsets{0, 1}) == 0);
  const auto alone = plackett_luce_loss{}.value_and_grad(array({7}), offsets{0, 1});
  CHECK(alone.d_scores[0] == 0);
  CHECK(alone.accuracy == 0);
}

TEST_CASE("rankings of weight 0 are left out, NaN and all") {
  const auto scores = array({1, 0, not_a_number, 0});
  const auto result = plackett_luce_loss{}.value_and_grad(scores, offsets{0, 2, 4}, weights_type{array({1, 0})});
  CHECK(result.value == Approx(0.3132616875));
  CHECK(result.d_scores[2] == 0);
  CHECK(result.d_scores[3] == 0);
  CHECK(result.accuracy == 1);
  CHECK_THROWS_AS(plackett_luce_loss{}(scores, offsets{0, 2, 4}), coho::argument_error);
  CHECK_THROWS_AS(plackett_luce_loss{}(array({infinity, infinity}), offsets{0, 2}), coho::argument_error);
}

TEST_CASE("parts of a batch of rankings add up") {
  const Eigen::ArrayXd scores = normals(7, 1);
  const auto third = [](Eigen::Index n) { return weights_type{Eigen::ArrayXd::Constant(n, 1.0 / 3)}; };
  const double parts = plackett_luce_loss{}(scores.head(3), offsets{0, 3}, third(1)) +
                       plackett_luce_loss{}(scores.tail(4), offsets{0, 2, 4}, third(2));
  CHECK(parts == Approx(plackett_luce_loss{}(scores, offsets{0, 3, 5, 7})).epsilon(1e-13));
}

TEST_CASE("no rankings, and offsets and weights that do not fit") {
  const plackett_luce_loss loss;
  CHECK(loss(Eigen::ArrayXd(), offsets{0}) == 0);
  CHECK(loss.value_and_grad(Eigen::ArrayXd(), offsets{0}).d_scores.size() == 0);
  CHECK_THROWS_AS(loss(array({1, 2}), offsets{}), coho::argument_error);
  CHECK_THROWS_AS(loss(array({1, 2}), offsets{0, 1}), coho::argument_error);
  CHECK_THROWS_WITH(loss(array({1, 2}), offsets{0, 2, 1}), Catch::Contains("offsets decrease"));
  CHECK_THROWS_WITH(loss(array({1, 2}), offsets{0, 2}, weights_type{array({1, 1})}), Catch::Contains("weights"));
}
