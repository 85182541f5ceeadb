#include <cmath>
#include <stdexcept>
#include <vector>

#include <coho/advantage/group_relative.hpp>
#include <coho/advantage/reinforce_plus_plus.hpp>
#include <coho/advantage/return_to_go.hpp>
#include <coho/advantage/whiten.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"
#include "support/thread_ranks.hpp"

using namespace coho::test;
using coho::reinforce_plus_plus, coho::reinforce_plus_plus_baseline;

TEMPLATE_TEST_CASE("REINFORCE++ of two responses by hand", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  // Rewards to come 1 1 3 3: mean 2, deviation 1.
  const auto advantages = reinforce_plus_plus(make<TestType>({0, 1, 0, 3}), offsets{0, 2, 4});
  STATIC_REQUIRE(
      std::is_same_v<typename std::remove_cvref_t<decltype(advantages)>::Scalar, typename TestType::value_type>);
  const Eigen::ArrayXd expected = array({-1, -1, 1, 1});
  for (int t = 0; t < 4; ++t) CHECK(advantages[t] == Approx(expected[t]).epsilon(1e-6));
}

TEST_CASE("REINFORCE++ is rewards to come, whitened over the real tokens of the batch") {
  Eigen::ArrayXd rewards = normals(10, 1);
  rewards[2] = not_a_number;
  rewards[9] = infinity;
  const flags mask{1, 1, 0, 1, 1, 1, 1, 1, 1, 0};
  const offsets sequences{0, 4, 4, 10};
  const coho::reinforce_plus_plus_options options{.gamma = 0.6,
                                                  .whitening = {.deviation = coho::deviation::bessel, .epsilon = 0.1}};
  const Eigen::ArrayXd returns = coho::return_to_go(rewards, mask, sequences, {.gamma = 0.6});
  const Eigen::ArrayXd advantages = reinforce_plus_plus(rewards, mask, sequences, options);
  CHECK(advantages.isApprox(coho::whiten(returns, mask, options.whitening), 1e-12));
  CHECK(advantages[2] == 0);
  CHECK(advantages[9] == 0);
  CHECK(advantages.sum() == Approx(0).margin(1e-12));
}

TEST_CASE("REINFORCE++ of equal returns, of nothing and of padding is 0") {
  CHECK((reinforce_plus_plus(array({0, 0.5, 0.5}), offsets{0, 2, 3}) == 0.0).all());
  CHECK((reinforce_plus_plus(array({0, 0.1, 0.1}), offsets{0, 2, 3}).abs() < 1e-8).all());
  CHECK(reinforce_plus_plus(std::vector<double>{}, offsets{0}).size() == 0);
  CHECK((reinforce_plus_plus(array({not_a_number}), flags{0}, offsets{0, 1}) == 0.0).all());
}

TEST_CASE("REINFORCE++ with a baseline by hand: group means first, then the batch's deviation") {
  // Less their groups' means −1 1 −3 3, on 1, 1, 2 and 2 tokens: mean 0, mean square 38 / 6.
  const double unit = std::sqrt(38.0 / 6);
  const Eigen::ArrayXd expected = array({-1, 1, -3, -3, 3, 3}) / unit;
  const offsets groups{0, 2, 4}, sequences{0, 1, 2, 4, 6};
  CHECK(reinforce_plus_plus_baseline(array({1, 3, 4, 10}), groups, sequences).isApprox(expected, 1e-7));
  CHECK(reinforce_plus_plus_baseline(std::vector<float>{1, 3, 4, 10}, groups, sequences).isApprox(expected, 1e-7));
}

TEST_CASE("REINFORCE++ with a baseline counts real tokens and keeps the level of prompts out") {
  const Eigen::ArrayXd rewards = normals(5, 2);
  const offsets groups{0, 3, 4, 5}, sequences{0, 2, 2, 4, 7, 9};
  const flags mask{1, 0, 1, 1, 1, 1, 0, 1, 1};
  const coho::whiten_options whitening{.deviation = coho::deviation::bessel};
  const Eigen::ArrayXd advantages = reinforce_plus_plus_baseline(rewards, groups, mask, sequences, whitening);
  const Eigen::ArrayXd centred = coho::group_relative(rewards, groups, {.scale = coho::group_scale::none});
  CHECK(advantages.isApprox(coho::whiten(coho::sequence_spread(centred, sequences), mask, whitening), 1e-12));
  CHECK(advantages[1] == 0);
  // Alone in its group, a response has the advantage of the batch's mean before whitening.
  CHECK(advantages[3] != 0);
  CHECK(advantages[4] == Approx(advantages[7]));
  Eigen::ArrayXd shifted = rewards;
  shifted.head(3) += 100;
  CHECK(reinforce_plus_plus_baseline(shifted, groups, mask, sequences, whitening).isApprox(advantages, 1e-9));
  CHECK((reinforce_plus_plus_baseline(array({2, 2, 7}), offsets{0, 2, 3}, offsets{0, 2, 4, 5}) == 0.0).all());
  CHECK(reinforce_plus_plus_baseline(std::vector<double>{}, offsets{0}, offsets{0}).size() == 0);
}

TEST_CASE("ranks together give the REINFORCE++ advantages of one batch") {
  const Eigen::ArrayXd rewards = normals(9, 3), sequence_rewards = normals(4, 4);
  const Eigen::ArrayXd expected = reinforce_plus_plus(rewards, offsets{0, 4, 6, 9}, {.gamma = 0.5});
  const Eigen::ArrayXd baseline =
      reinforce_plus_plus_baseline(sequence_rewards, offsets{0, 2, 4}, offsets{0, 3, 4, 6, 9});
  run_ranks(2, [&](auto& ranks) {
    const bool first = ranks.rank() == 0;
    const Eigen::ArrayXd mine = first ? rewards.head(6) : rewards.tail(3);
    const Eigen::ArrayXd found =
        reinforce_plus_plus(mine, first ? offsets{0, 4, 6} : offsets{0, 3}, {.gamma = 0.5}, ranks);
    if (!found.isApprox(first ? expected.head(6) : expected.tail(3), 1e-9)) throw std::runtime_error("REINFORCE++");
    const Eigen::ArrayXd own = first ? sequence_rewards.head(2) : sequence_rewards.tail(2);
    const Eigen::ArrayXd grouped =
        reinforce_plus_plus_baseline(own, offsets{0, 2}, first ? offsets{0, 3, 4} : offsets{0, 2, 5}, {}, ranks);
    if (!grouped.isApprox(first ? baseline.head(4) : baseline.tail(5), 1e-9)) throw std::runtime_error("baseline");
  });
  std::vector<int> thrown(4, 0);
  run_ranks(2, [&](auto& ranks) {
    const Eigen::ArrayXd mine = array({1, ranks.rank() == 1 ? not_a_number : 2});
    try {
      reinforce_plus_plus(mine, offsets{0, 2}, {}, ranks);
    } catch (const coho::argument_error&) {
      thrown[ranks.rank()] = 1;
    }
    try {
      reinforce_plus_plus_baseline(mine, offsets{0, 2}, offsets{0, 1, 2}, {}, ranks);
    } catch (const coho::argument_error&) {
      thrown[2 + ranks.rank()] = 1;
    }
  });
  CHECK(thrown == std::vector<int>{1, 1, 1, 1});
}

TEST_CASE("REINFORCE++ names what it cannot use") {
  const Eigen::ArrayXd x = array({1, 2, 3});
  CHECK_THROWS_AS(reinforce_plus_plus(x, offsets{0, 2}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_plus_plus(x, flags{1}, offsets{0, 3}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_plus_plus(array({1, not_a_number}), offsets{0, 2}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_plus_plus(array({1, infinity}), flags{1, 1}, offsets{0, 2}), coho::argument_error);
  CHECK_THROWS_WITH(reinforce_plus_plus(x, offsets{0, 3}, {.gamma = 2}), Catch::Contains("gamma"));
  CHECK_THROWS_WITH(reinforce_plus_plus(x, offsets{0, 3}, {.whitening = {.epsilon = 0}}), Catch::Contains("epsilon"));
  CHECK_THROWS_AS(reinforce_plus_plus_baseline(x, offsets{0, 2}, offsets{0, 1, 2, 3}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_plus_plus_baseline(x, offsets{0, 3}, offsets{0, 1, 2}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_plus_plus_baseline(x, offsets{0, 3}, offsets{}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_plus_plus_baseline(x, offsets{0, 3}, flags{1}, offsets{0, 1, 2, 3}), coho::argument_error);
  CHECK_THROWS_AS(reinforce_plus_plus_baseline(array({1, not_a_number}), offsets{0, 2}, offsets{0, 1, 2}),
                  coho::argument_error);
  CHECK_THROWS_AS(reinforce_plus_plus_baseline(x, offsets{0, 3}, offsets{0, 1, 2, 3}, {.epsilon = 0}),
                  coho::option_error);
}
