#include <vector>

#include <range/v3/view/transform.hpp>

#include <coho/advantage/remax.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::remax;

TEMPLATE_TEST_CASE("ReMax subtracts the reward of the greedy response", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const auto rewards = make<TestType>({1, 0, 1}), greedy = make<TestType>({0.5, 1, 1}),
             of_prompts = make<TestType>({1, 99, 0.5});
  const auto one_each = remax(rewards, greedy);
  STATIC_REQUIRE(
      std::is_same_v<typename std::remove_cvref_t<decltype(one_each)>::Scalar, typename TestType::value_type>);
  CHECK((one_each.template cast<double>() == array({0.5, -1, 0})).all());
  // The second prompt has no response.
  CHECK((remax(rewards, of_prompts, offsets{0, 2, 2, 3}).template cast<double>() == array({0, -1, 0.5})).all());
}

TEST_CASE("ReMax takes numbers, views, expressions and nothing") {
  CHECK(remax(1.5, 2.0) == -0.5);
  const std::vector<double> rewards{1, 2};
  CHECK((remax(coho::as_array(rewards) * 2.0, rewards | ranges::views::transform([](double x) { return x + 1; })) ==
         array({0, 1}))
            .all());
  CHECK(remax(std::vector<double>{}, std::vector<double>{}).size() == 0);
  CHECK(remax(std::vector<double>{}, std::vector<double>{}, offsets{0}).size() == 0);
  CHECK(remax(std::vector<double>{}, std::vector<double>{1, 2}, offsets{0, 0, 0}).size() == 0);
}

TEST_CASE("remax names what it cannot use") {
  const Eigen::ArrayXd x = array({1, 2, 3});
  CHECK_THROWS_WITH(remax(x, array({1, 2})), Catch::Contains("greedy_rewards"));
  CHECK_THROWS_WITH(remax(x, array({1, 2}), offsets{0, 3}), Catch::Contains("greedy_rewards"));
  CHECK_THROWS_AS(remax(x, array({1}), offsets{0, 2}), coho::argument_error);
  CHECK_THROWS_AS(remax(x, array({}), offsets{}), coho::argument_error);
  CHECK_THROWS_WITH(remax(array({1, not_a_number}), array({1, 2})), Catch::Contains("response 1"));
  CHECK_THROWS_AS(remax(array({1}), array({infinity}), offsets{0, 1}), coho::argument_error);
  CHECK_THROWS_AS(remax(1.0, not_a_number), coho::argument_error);
}
