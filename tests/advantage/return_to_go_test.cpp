#include <vector>

#include <range/v3/view/transform.hpp>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/return_to_go.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::return_to_go;

TEMPLATE_TEST_CASE("rewards to come of a terminal reward, discounted once a token", "", Eigen::ArrayXd, Eigen::ArrayXf,
                   std::vector<double>, std::vector<float>) {
  const auto returns = return_to_go(make<TestType>({0, 0, 2}), offsets{0, 3}, {.gamma = 0.5});
  STATIC_REQUIRE(
      std::is_same_v<typename std::remove_cvref_t<decltype(returns)>::Scalar, typename TestType::value_type>);
  CHECK(returns[0] == 0.5);
  CHECK(returns[1] == 1);
  CHECK(returns[2] == 2);
}

TEST_CASE("a gap in the mask costs no discount: mask 1 1 0 0 1, discount 0.5, terminal reward 2") {
  const auto returns =
      return_to_go(array({0, 0, not_a_number, infinity, 2}), flags{1, 1, 0, 0, 1}, offsets{0, 5}, {.gamma = 0.5});
  CHECK((returns == array({0.5, 1, 0, 0, 2})).all());
  // A reward of the gap is not collected, and padding at the end is a gap like any other.
  CHECK((return_to_go(array({1, 7, 2, 9}), flags{1, 0, 1, 0}, offsets{0, 4}, {.gamma = 0.5}) == array({2, 0, 2, 0}))
            .all());
}

TEST_CASE("rewards to come are the returns of gae with lambda 1, whatever the values") {
  const Eigen::ArrayXd rewards = normals(9, 1), values = normals(9, 2);
  const flags mask{1, 0, 1, 1, 1, 0, 0, 1, 1};
  const offsets sequences{0, 3, 3, 9};
  for (const double gamma : {0.0, 0.3, 1.0}) {
    const auto expected = coho::gae({.rewards = rewards, .values = values, .mask = mask, .offsets = sequences},
                                    {.gamma = gamma, .lambda = 1})
                              .returns;
    CHECK(return_to_go(rewards, mask, sequences, {.gamma = gamma}).isApprox(expected, 1e-12));
  }
}

TEST_CASE("return_to_go keeps sequences apart; they may be empty or of one token") {
  CHECK((return_to_go(array({1, 2, 3, 4}), offsets{0, 0, 1, 4, 4}) == array({1, 9, 7, 4})).all());
  CHECK(return_to_go(std::vector<double>{}, offsets{0}).size() == 0);
  CHECK(return_to_go(std::vector<double>{}, offsets{0, 0}).size() == 0);
  CHECK((return_to_go(array({not_a_number, not_a_number}), flags{0, 0}, offsets{0, 2}) == 0.0).all());
}

TEST_CASE("return_to_go takes views, expressions and integers") {
  const std::vector<double> rewards{1, 2, 3};
  const Eigen::ArrayXd expected = array({6, 5, 3});
  const auto view = rewards | ranges::views::transform([](double x) { return x; });
  CHECK((return_to_go(view, offsets{0, 3}) == expected).all());
  CHECK((return_to_go(coho::as_array(rewards) * 1.0, offsets{0, 3}) == expected).all());
  CHECK((return_to_go(std::vector<int>{1, 2, 3}, offsets{0, 3}) == expected).all());
}

TEST_CASE("return_to_go names what does not fit") {
  const Eigen::ArrayXd x = array({1, 2, 3});
  CHECK_THROWS_AS(return_to_go(x, flags{1}, offsets{0, 3}), coho::argument_error);
  CHECK_THROWS_AS(return_to_go(x, offsets{0, 2}), coho::argument_error);
  CHECK_THROWS_AS(return_to_go(x, offsets{1, 3}), coho::argument_error);
  CHECK_THROWS_AS(return_to_go(array({not_a_number}), offsets{0, 1}), coho::argument_error);
  CHECK_THROWS_AS(return_to_go(array({0, infinity, 0}), offsets{0, 3}, {.gamma = 0}), coho::argument_error);
  CHECK_THROWS_WITH(return_to_go(x, offsets{0, 3}, {.gamma = 1.1}), Catch::Contains("gamma"));
  CHECK_THROWS_AS(return_to_go(x, offsets{0, 3}, {.gamma = not_a_number}), coho::option_error);
  CHECK_THROWS_AS(return_to_go(x, offsets{0, 3}, {.gamma = -0.1}), coho::option_error);
}
