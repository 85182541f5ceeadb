#include <cmath>
#include <stdexcept>
#include <vector>

#include <coho/reward/running_normalization.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"
#include "support/thread_ranks.hpp"

using namespace coho::test;
using coho::running_normalization;

TEMPLATE_TEST_CASE("the first batch is normalised by its own mean and deviation", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  running_normalization normalization;
  const auto y = normalization(make<TestType>({1, 2, 3}));
  STATIC_REQUIRE(std::is_same_v<typename std::remove_cvref_t<decltype(y)>::Scalar, typename TestType::value_type>);
  const double unit = std::sqrt(2.0 / 3);
  for (int i = 0; i < 3; ++i) CHECK(y[i] == Approx((i - 1) / unit).epsilon(1e-6));
}

TEST_CASE("running normalisation is that of one pass over all batches") {
  const Eigen::ArrayXd all = normals(30, 1, 2) + 1e6;
  running_normalization normalization;
  normalization.update(all.head(7));
  normalization.update(Eigen::ArrayXd());
  normalization.update(all.segment(7, 1));
  const Eigen::ArrayXd y = normalization(Eigen::ArrayXd(all.tail(22)));
  const double mean = all.mean(), unit = std::sqrt((all - mean).square().mean());
  CHECK(normalization.seen().count == 30);
  CHECK(normalization.seen().mean == Approx(mean).epsilon(1e-15));
  CHECK(normalization.seen().deviation == Approx(unit).epsilon(1e-9));
  CHECK(y.isApprox((all.tail(22) - mean) / unit, 1e-6));
  // To normalise changes nothing.
  CHECK(normalization.normalize(all[0]) == Approx((all[0] - mean) / unit).epsilon(1e-6));
  CHECK(normalization.seen().count == 30);
}

TEST_CASE("the options of running normalisation") {
  const Eigen::ArrayXd batch = array({1, 2, 3});
  const double unit = std::sqrt(2.0 / 3);
  running_normalization scaled{{.center = false}}, clipped{{.clip = 1}}, blunt{{.epsilon = 0.5}};
  CHECK(scaled(batch).isApprox(batch / unit, 1e-6));
  CHECK((clipped(batch) == array({-1, 0, 1})).all());
  CHECK(blunt(batch)[2] == Approx(1 / (unit + 0.5)));
}

TEST_CASE("until running normalisation has warmed up, rewards are clipped only") {
  running_normalization normalization{{.clip = 8, .warm_up = 4}};
  CHECK((normalization(array({1, 2, 9})) == array({1, 2, 8})).all());
  CHECK(normalization.seen().count == 3);
  const Eigen::ArrayXd y = normalization(array({4}));
  CHECK(y[0] == Approx(0));  // 4 is the mean of 1 2 9 4
  CHECK(normalization.normalize(9.0) == Approx(5 / std::sqrt(38.0 / 4)));
  // Nothing seen at all, and no wish to wait.
  CHECK(running_normalization{{.warm_up = 0}}.normalize(3.0) == 3);
}

TEST_CASE("constant rewards are centred, and their rounding is no deviation") {
  for (const double reward : {0.0, 0.1, -7.0, 1e9 + 0.3}) {
    running_normalization normalization;
    for (const Eigen::Index size : {3, 7, 11, 1000}) {
      const Eigen::ArrayXd y = normalization(Eigen::ArrayXd::Constant(size, reward));
      CHECK(y.abs().maxCoeff() <= 1e-12 * std::abs(reward));
    }
    CHECK(normalization.seen().deviation == 0);
    CHECK(normalization.normalize(reward + 1) == Approx(1));
  }
}

TEST_CASE("running normalisation resumes where it was saved") {
  running_normalization one;
  one.update(normals(9, 1));
  running_normalization other;
  other.restore(one.save());
  CHECK(other.save() == one.save());
  const Eigen::ArrayXd batch = normals(5, 2);
  CHECK((one(batch) == other(batch)).all());
  CHECK(other.save() == one.save());
  CHECK_THROWS_AS(other.restore({.count = -1}), coho::argument_error);
  CHECK_THROWS_AS(other.restore({.count = 1, .mean = not_a_number}), coho::argument_error);
  CHECK_THROWS_AS(other.restore({.count = 1, .squares = -1}), coho::argument_error);
  CHECK_THROWS_AS(other.restore({.count = 1, .squares = infinity}), coho::argument_error);
  CHECK(other.save() == one.save());
}

TEST_CASE("ranks share the mean and deviation of running normalisation") {
  const Eigen::ArrayXd first = normals(6, 3), second = normals(4, 4) + 5;
  running_normalization alone;
  alone.update(first);
  const Eigen::ArrayXd expected = alone(second);
  run_ranks(2, [&](auto& ranks) {
    running_normalization mine;
    mine.update(ranks.rank() == 0 ? Eigen::ArrayXd(first.head(1)) : Eigen::ArrayXd(first.tail(5)), ranks);
    const Eigen::ArrayXd y = mine(ranks.rank() == 0 ? second : Eigen::ArrayXd(), ranks);
    if (mine.seen().count != 10) throw std::runtime_error("count");
    if (ranks.rank() == 0 && !y.isApprox(expected, 1e-12)) throw std::runtime_error("ranks disagree");
  });
  std::vector<int> thrown(2, 0);
  run_ranks(2, [&](auto& ranks) {
    running_normalization mine;
    try {
      mine(array({1, ranks.rank() == 1 ? infinity : 2}), ranks);
    } catch (const coho::argument_error&) {
      thrown[ranks.rank()] = mine.seen().count == 0;
    }
  });
  CHECK(thrown == std::vector<int>{1, 1});
}

TEST_CASE("running normalisation refuses what is not finite and stays as it was") {
  running_normalization normalization{{.clip = 1}};
  normalization.update(array({1, 2, 3}));
  const auto before = normalization.save();
  CHECK_THROWS_AS(normalization(array({1, not_a_number})), coho::argument_error);
  CHECK_THROWS_AS(normalization(array({infinity})), coho::argument_error);
  CHECK_THROWS_AS(normalization(array({1e200, -1e200})), coho::argument_error);
  CHECK(normalization.save() == before);
  CHECK_THROWS_AS(normalization.normalize(array({not_a_number})), coho::argument_error);
  CHECK_THROWS_AS(normalization.normalize(infinity), coho::argument_error);
  CHECK(normalization(Eigen::ArrayXd()).size() == 0);
}

TEST_CASE("unusable options of running normalisation") {
  CHECK_THROWS_WITH(running_normalization({.clip = -1}), Catch::Contains("clip"));
  CHECK_THROWS_WITH(running_normalization({.epsilon = 0}), Catch::Contains("epsilon"));
  CHECK_THROWS_AS(running_normalization({.epsilon = infinity}), coho::option_error);
  CHECK_THROWS_WITH(running_normalization({.warm_up = -1}), Catch::Contains("warm_up"));
  CHECK_THROWS_AS(running_normalization({.warm_up = not_a_number}), coho::option_error);
}
