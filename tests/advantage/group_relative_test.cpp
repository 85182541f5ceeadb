#include <cmath>
#include <vector>

#include <coho/advantage/group_relative.hpp>
#include <coho/advantage/leave_one_out.hpp>
#include <coho/reduce.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"
#include "support/thread_ranks.hpp"

using namespace coho::test;
using coho::deviation, coho::group_relative, coho::group_scale;

TEMPLATE_TEST_CASE("GRPO advantages of rewards 1 2 3 and of equal ones", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const auto advantages = group_relative(make<TestType>({1, 2, 3, 5, 5}), offsets{0, 3, 5});
  STATIC_REQUIRE(
      std::is_same_v<typename std::remove_cvref_t<decltype(advantages)>::Scalar, typename TestType::value_type>);
  const Eigen::ArrayXd expected = array({-1 / 1.0001, 0, 1 / 1.0001, 0, 0});
  for (int i = 0; i < 5; ++i) CHECK(advantages[i] == Approx(expected[i]).epsilon(1e-6));
}

TEST_CASE("the scale of group-relative advantages: the group's deviation, nothing, or the batch's") {
  const Eigen::ArrayXd rewards = array({1, 2, 3, 10, 20});
  const offsets groups{0, 3, 5};
  const Eigen::ArrayXd centred = array({-1, 0, 1, -5, 5});
  const double epsilon = 0.25;
  const auto with = [&](group_scale scale, deviation kind) -> Eigen::ArrayXd {
    return group_relative(rewards, groups, {.scale = scale, .deviation = kind, .epsilon = epsilon});
  };
  CHECK((with(group_scale::none, deviation::bessel) == centred).all());

  Eigen::ArrayXd expected = centred;
  expected.head(3) /= std::sqrt(2.0 / 2) + epsilon;
  expected.tail(2) /= std::sqrt(50.0 / 1) + epsilon;
  CHECK(with(group_scale::group_deviation, deviation::bessel).isApprox(expected, 1e-12));
  expected = centred;
  expected.head(3) /= std::sqrt(2.0 / 3) + epsilon;
  expected.tail(2) /= std::sqrt(50.0 / 2) + epsilon;
  CHECK(with(group_scale::group_deviation, deviation::population).isApprox(expected, 1e-12));

  const double squares = (rewards - rewards.mean()).square().sum();
  CHECK(with(group_scale::batch_deviation, deviation::bessel)
            .isApprox(centred / (std::sqrt(squares / 4) + epsilon), 1e-12));
  CHECK(with(group_scale::batch_deviation, deviation::population)
            .isApprox(centred / (std::sqrt(squares / 5) + epsilon), 1e-12));
}

TEST_CASE("equal rewards and groups of one or none have group-relative advantages of exactly 0") {
  for (const auto scale : {group_scale::group_deviation, group_scale::none, group_scale::batch_deviation}) {
    // The sum of three times 0.1 is not 0.3: a plain mean would leave rounding for a small epsilon to blow up.
    const auto advantages = group_relative(array({0.1, 0.1, 0.1, -7, 1e9 + 0.3, 1e9 + 0.3}), offsets{0, 3, 4, 4, 6},
                                           {.scale = scale, .epsilon = 1e-300});
    CHECK((advantages == 0.0).all());
    CHECK(group_relative(std::vector<double>{}, offsets{0}, {.scale = scale}).size() == 0);
    CHECK(group_relative(std::vector<double>{}, offsets{0, 0}, {.scale = scale}).size() == 0);
  }
}

TEST_CASE("group-relative advantages do not change with the level of rewards, nor, scaled, with their unit") {
  const Eigen::ArrayXd rewards = normals(8, 3);
  const offsets groups{0, 4, 8};
  const coho::group_relative_options options{.epsilon = 1e-12};
  const Eigen::ArrayXd advantages = group_relative(rewards, groups, options);
  CHECK(advantages.head(4).sum() == Approx(0).margin(1e-12));
  CHECK(advantages.tail(4).square().sum() == Approx(3));
  CHECK(group_relative(rewards + 9, groups, options).isApprox(advantages, 1e-9));
  CHECK(group_relative(rewards * 1000, groups, options).isApprox(advantages, 1e-9));
}

TEST_CASE("without a scale, group-relative advantages are (G - 1) / G of those of leave-one-out") {
  const Eigen::ArrayXd rewards = normals(8, 4);
  const offsets groups{0, 4, 8};
  const auto expected = coho::leave_one_out(rewards, groups).advantages;
  CHECK(group_relative(rewards, groups, {.scale = group_scale::none}).isApprox(expected * 0.75, 1e-12));
}

TEST_CASE("group-relative advantages are spread over the tokens of their responses") {
  const auto advantages = group_relative(array({1, 3}), offsets{0, 2}, {.scale = group_scale::none});
  CHECK((coho::sequence_spread(advantages, offsets{0, 2, 3}) == array({-1, -1, 1})).all());
}

TEST_CASE("ranks share the deviation of the batch") {
  const Eigen::ArrayXd rewards = normals(10, 5, 4);
  const coho::group_relative_options options{.scale = group_scale::batch_deviation};
  const Eigen::ArrayXd expected = group_relative(rewards, offsets{0, 4, 7, 10}, options);
  run_ranks(3, [&](auto& ranks) {
    const Eigen::Index begin = std::vector<Eigen::Index>{0, 4, 10}[ranks.rank()],
                       end = std::vector<Eigen::Index>{4, 10, 10}[ranks.rank()];
    const Eigen::ArrayXd mine = rewards.segment(begin, end - begin);
    const auto groups = ranks.rank() == 0 ? offsets{0, 4} : ranks.rank() == 1 ? offsets{0, 3, 6} : offsets{0};
    const Eigen::ArrayXd found = group_relative(mine, groups, options, ranks);
    // Catch's assertions are not for several threads at once.
    if (!found.isApprox(expected.segment(begin, end - begin), 1e-12)) throw std::runtime_error("ranks disagree");
  });
  // NaN on one rank is an error on all.
  std::vector<int> thrown(2, 0);
  run_ranks(2, [&](auto& ranks) {
    try {
      group_relative(array({1, ranks.rank() == 1 ? not_a_number : 2}), offsets{0, 2}, options, ranks);
    } catch (const coho::argument_error&) {
      thrown[ranks.rank()] = 1;
    }
  });
  CHECK(thrown == std::vector<int>{1, 1});
}

TEST_CASE("group_relative names what it cannot use") {
  const Eigen::ArrayXd x = array({1, 2, 3});
  CHECK_THROWS_WITH(group_relative(x, offsets{0, 2}), Catch::Contains("group offsets end at 2"));
  CHECK_THROWS_AS(group_relative(x, offsets{}), coho::argument_error);
  CHECK_THROWS_AS(group_relative(x, offsets{1, 3}), coho::argument_error);
  CHECK_THROWS_AS(group_relative(x, offsets{0, 2, 1, 3}), coho::argument_error);
  for (const auto scale : {group_scale::group_deviation, group_scale::none, group_scale::batch_deviation}) {
    CHECK_THROWS_AS(group_relative(array({1, not_a_number}), offsets{0, 2}, {.scale = scale}), coho::argument_error);
    CHECK_THROWS_AS(group_relative(array({infinity, infinity}), offsets{0, 2}, {.scale = scale}), coho::argument_error);
    CHECK_THROWS_AS(group_relative(array({not_a_number}), offsets{0, 1}, {.scale = scale}), coho::argument_error);
    CHECK_THROWS_AS(group_relative(array({1e200, -1e200}), offsets{0, 2}, {.scale = scale}), coho::argument_error);
  }
  CHECK_THROWS_WITH(group_relative(x, offsets{0, 3}, {.epsilon = 0}), Catch::Contains("epsilon"));
  CHECK_THROWS_AS(group_relative(x, offsets{0, 3}, {.epsilon = not_a_number}), coho::option_error);
}
