#include <cmath>
#include <vector>

#include <coho/advantage/leave_one_out.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::deviation, coho::leave_one_out;

TEMPLATE_TEST_CASE("leave-one-out baselines of rewards 1 to 6 in two groups of 3", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const auto result = leave_one_out(make<TestType>({1, 2, 3, 4, 5, 6}), offsets{0, 3, 6}, {.scale = true});
  STATIC_REQUIRE(
      std::is_same_v<typename std::remove_cvref_t<decltype(result.advantages)>::Scalar, typename TestType::value_type>);
  const Eigen::ArrayXd baselines = array({2.5, 2, 1.5, 5.5, 5, 4.5}),
                       deviations = array({0.7071, 1.4142, 0.7071, 0.7071, 1.4142, 0.7071}),
                       differences = array({-1.5, 0, 1.5, -1.5, 0, 1.5});
  for (int i = 0; i < 6; ++i) {
    CHECK(result.baselines[i] == Approx(baselines[i]));
    CHECK(result.deviations[i] == Approx(deviations[i]).margin(5e-5));
    CHECK(result.advantages[i] == Approx(differences[i] / (deviations[i] + 1e-6)).margin(1e-6).epsilon(1e-4));
  }
}

TEST_CASE("a leave-one-out advantage is the reward less the mean of the others") {
  const Eigen::ArrayXd rewards = normals(9, 1, 3) + 100;
  const offsets groups{0, 4, 4, 9};
  const auto result = leave_one_out(rewards, groups);
  CHECK(result.deviations.size() == 0);
  for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
    for (std::size_t i = groups[g]; i < groups[g + 1]; ++i) {
      double others = 0;
      for (std::size_t j = groups[g]; j < groups[g + 1]; ++j) others += j == i ? 0 : rewards[static_cast<int>(j)];
      others /= static_cast<double>(groups[g + 1] - groups[g] - 1);
      CHECK(result.baselines[static_cast<int>(i)] == Approx(others));
      CHECK(result.advantages[static_cast<int>(i)] == Approx(rewards[static_cast<int>(i)] - others).margin(1e-12));
    }
  }
  CHECK(result.advantages.head(4).sum() == Approx(0).margin(1e-12));
  CHECK(leave_one_out(rewards + 50, groups).advantages.isApprox(result.advantages, 1e-12));
}

TEST_CASE("the scale of leave-one-out is the deviation of the others, by either divisor") {
  const Eigen::ArrayXd rewards = array({1, 2, 4, 9});
  for (const auto kind : {deviation::bessel, deviation::population}) {
    const auto result = leave_one_out(rewards, offsets{0, 4}, {.scale = true, .deviation = kind, .epsilon = 0.5});
    for (int i = 0; i < 4; ++i) {
      double mean = 0, squares = 0;
      for (int j = 0; j < 4; ++j) mean += j == i ? 0 : rewards[j] / 3;
      for (int j = 0; j < 4; ++j) squares += j == i ? 0 : (rewards[j] - mean) * (rewards[j] - mean);
      const double expected = std::sqrt(squares / (kind == deviation::bessel ? 2 : 3));
      CHECK(result.deviations[i] == Approx(expected));
      CHECK(result.advantages[i] == Approx((rewards[i] - mean) / (expected + 0.5)));
    }
  }
}

TEST_CASE("leave-one-out does not scale by a deviation of 0, nor by the rounding of one") {
  // Far from zero, the squares of all less that of one would leave noise for the others' deviation.
  const auto result = leave_one_out(array({1e6 + 0.1, 1e6 + 0.1, 1e6 + 5.1}), offsets{0, 3}, {.scale = true});
  CHECK(result.deviations[2] == 0);
  CHECK(result.advantages[2] == Approx(5));
  CHECK(result.deviations[0] == Approx(5 / std::sqrt(2.0)));
  const auto pair = leave_one_out(array({3, 1}), offsets{0, 2}, {.scale = true});
  CHECK((pair.deviations == 0.0).all());
  CHECK((pair.advantages == array({2, -2})).all());
}

TEST_CASE("alone or among equals, a response has a leave-one-out advantage of 0") {
  const auto alone = leave_one_out(array({7, 1, 3}), offsets{0, 1, 3}, {.scale = true});
  CHECK(alone.advantages[0] == 0);
  CHECK(alone.baselines[0] == 7);
  CHECK(alone.deviations[0] == 0);
  const auto equal = leave_one_out(array({0.1, 0.1, 0.1}), offsets{0, 3}, {.scale = true});
  CHECK((equal.advantages == 0.0).all());
  CHECK((equal.deviations == 0.0).all());
  CHECK(leave_one_out(std::vector<double>{}, offsets{0}).advantages.size() == 0);
  CHECK(leave_one_out(std::vector<double>{}, offsets{0, 0}, {.scale = true}).advantages.size() == 0);
}

TEST_CASE("leave_one_out names what it cannot use") {
  const Eigen::ArrayXd x = array({1, 2, 3});
  CHECK_THROWS_WITH(leave_one_out(x, offsets{0, 2}), Catch::Contains("group offsets end at 2"));
  CHECK_THROWS_AS(leave_one_out(x, offsets{}), coho::argument_error);
  CHECK_THROWS_AS(leave_one_out(x, offsets{0, 3, 2, 3}), coho::argument_error);
  CHECK_THROWS_WITH(leave_one_out(array({1, 2, 1, not_a_number}), offsets{0, 2, 4}), Catch::Contains("group 1"));
  CHECK_THROWS_AS(leave_one_out(array({1, infinity}), offsets{0, 2}), coho::argument_error);
  CHECK_THROWS_AS(leave_one_out(array({not_a_number}), offsets{0, 1}), coho::argument_error);
  CHECK_THROWS_WITH(leave_one_out(x, offsets{0, 3}, {.epsilon = 0}), Catch::Contains("epsilon"));
}

TEST_CASE("rewards of the others that are equal but for rounding are not divided by their rounding") {
  const std::vector<double> rewards{1, 0.3, 0.1 + 0.2};
  const auto result = coho::leave_one_out(rewards, offsets{0, 3}, {.scale = true});
  CHECK(result.advantages[0] == Approx(0.7));
}

TEMPLATE_TEST_CASE("leave-one-out of groups of every size from 1 to 17 agrees with its definition", "", Eigen::ArrayXd,
                   Eigen::ArrayXf) {
  const TestType rewards = normals(17 * 18 / 2, 1, 5).template cast<typename TestType::Scalar>();
  offsets groups{0};
  for (std::size_t size = 1; size <= 17; ++size) groups.push_back(groups.back() + size);
  const auto result = leave_one_out(rewards, groups);
  for (std::size_t g = 0; g < 17; ++g) {
    for (std::size_t i = groups[g]; i < groups[g + 1]; ++i) {
      double others = 0;
      for (std::size_t j = groups[g]; j < groups[g + 1]; ++j)
        if (j != i) others += static_cast<double>(rewards[static_cast<Eigen::Index>(j)]);
      const auto at = static_cast<Eigen::Index>(i);
      const double reward = static_cast<double>(rewards[at]),
                   baseline = g == 0 ? reward : others / static_cast<double>(g);
      CHECK(result.baselines[at] == Approx(baseline).epsilon(1e-5).margin(1e-6));
      CHECK(result.advantages[at] == Approx(reward - baseline).epsilon(1e-5).margin(1e-6));
    }
  }
}

TEST_CASE("a reward that is not finite is found in groups of every size, and its group named") {
  for (const std::size_t size : {1, 3, 4, 8, 9}) {
    const offsets groups{0, size, 2 * size, 3 * size};
    for (std::size_t i = size; i < 2 * size; ++i) {
      for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
        std::vector<double> rewards(3 * size, 1.0);
        rewards[i] = bad;
        CHECK_THROWS_WITH(leave_one_out(rewards, groups), Catch::Contains("group 1,"));
      }
    }
    // The largest numbers are finite.
    CHECK(leave_one_out(std::vector<double>(3 * size, 1.7e308), groups).baselines[0] == 1.7e308);
  }
}
