#include <cmath>
#include <vector>

#include <Eigen/Core>

#include <coho/reward/normalization.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::normalize_rewards;

TEMPLATE_TEST_CASE("rewards are standardised by fixed numbers and clipped", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const auto y = normalize_rewards(make<TestType>({1, 3, 100}), {.mean = 1, .deviation = 2, .clip = 10});
  CHECK(y[0] == 0);
  CHECK(y[1] == 1);
  CHECK(y[2] == 10);
  CHECK(normalize_rewards(-99.0, {.clip = 10}) == -10);
}

TEST_CASE("fit takes mean and population deviation") {
  const auto options = normalize_rewards.fit(array({1, 2, 3, 4}), 5);
  CHECK(options.mean == Approx(2.5));
  CHECK(options.deviation == Approx(std::sqrt(1.25)));
  CHECK(options.clip == 5);
  CHECK_THROWS_AS(normalize_rewards.fit(array({2, 2})), coho::argument_error);
  CHECK_THROWS_AS(normalize_rewards.fit(array({2, not_a_number})), coho::argument_error);
  CHECK_THROWS_AS(normalize_rewards.fit(Eigen::ArrayXd()), coho::argument_error);
}

TEST_CASE("unusable options of the normalisation of rewards") {
  CHECK_THROWS_AS(normalize_rewards(array({1}), {.deviation = 0}), coho::option_error);
  CHECK_THROWS_AS(normalize_rewards(array({1}), {.mean = not_a_number}), coho::option_error);
  CHECK_THROWS_AS(normalize_rewards(array({1}), {.clip = -1}), coho::option_error);
}
