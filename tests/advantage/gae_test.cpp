#include <span>
#include <vector>

#include <range/v3/view/transform.hpp>

#include <coho/advantage/advantage_inputs.hpp>
#include <coho/advantage/gae.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::gae;

TEMPLATE_TEST_CASE("lambda-returns of V = r = 0 0 0 1", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::advantage_inputs<typename TestType::value_type>;
  const auto r = make<TestType>({0, 0, 0, 1});
  const auto [advantages, returns] =
      gae(inputs{.rewards = r, .values = r, .offsets = offsets{0, 4}}, {.gamma = 0.9, .lambda = 0.95});
  STATIC_REQUIRE(
      std::is_same_v<typename std::remove_cvref_t<decltype(returns)>::Scalar, typename TestType::value_type>);
  const Eigen::ArrayXd expected = array({0.9 * 0.95 * 0.9 * 0.95 * 0.9, 0.9 * 0.95 * 0.9, 0.9, 1});
  for (int t = 0; t < 4; ++t) {
    CHECK(returns[t] == Approx(expected[t]).epsilon(1e-6));
    CHECK(advantages[t] == Approx(expected[t] - (t == 3)).margin(1e-6));
  }
  CHECK(returns[0] == Approx(0.6579).margin(5e-5));
  CHECK(returns[1] == Approx(0.7695).margin(5e-5));
}

TEST_CASE("return-to-go is gae without values: discount 0.5, mask 1 1 0 0 1, terminal reward 2") {
  const auto result = gae({.rewards = array({0, 0, 0, 0, 2}),
                           .values = array({0, 0, 0, 0, 0}),
                           .mask = flags{1, 1, 0, 0, 1},
                           .offsets = offsets{0, 5}},
                          {.gamma = 0.5});
  CHECK((result.returns == array({0.5, 1, 0, 0, 2})).all());
}

TEST_CASE("every lambda agrees with the definition as a sum over future errors") {
  const Eigen::ArrayXd r = normals(7, 1), v = normals(7, 2);
  for (const double gamma : {0.0, 0.7, 1.0}) {
    for (const double lambda : {0.0, 0.4, 1.0}) {
      const auto result =
          gae({.rewards = r, .values = v, .offsets = offsets{0, 7}}, {.gamma = gamma, .lambda = lambda});
      for (Eigen::Index t = 0; t < 7; ++t) {
        double expected = 0;
        for (Eigen::Index l = t; l < 7; ++l) {
          const double error = r[l] + (l + 1 < 7 ? gamma * v[l + 1] : 0.0) - v[l];
          expected += std::pow(gamma * lambda, static_cast<double>(l - t)) * error;
        }
        CHECK(result.advantages[t] == Approx(expected).margin(1e-12));
        CHECK(result.returns[t] == Approx(expected + v[t]).margin(1e-12));
      }
    }
  }
}

TEST_CASE("gamma = lambda = 1: return is the sum of rewards to come") {
  const auto result = gae({.rewards = array({1, 2, 3}), .values = array({10, 20, 30}), .offsets = offsets{0, 3}});
  CHECK((result.returns == array({6, 5, 3})).all());
  CHECK((result.advantages == array({-4, -15, -27})).all());
}

TEST_CASE("sequences do not see each other, and may be empty or of one token") {
  const Eigen::ArrayXd r = normals(6, 3), v = normals(6, 4);
  const coho::gae_options options{.gamma = 0.9, .lambda = 0.8};
  const auto all = gae({.rewards = r, .values = v, .offsets = offsets{0, 0, 1, 6, 6}}, options);
  const auto first = gae({.rewards = r.head(1), .values = v.head(1), .offsets = offsets{0, 1}}, options);
  const auto second = gae({.rewards = r.tail(5), .values = v.tail(5), .offsets = offsets{0, 5}}, options);
  CHECK(all.advantages[0] == first.advantages[0]);
  CHECK(first.advantages[0] == r[0] - v[0]);
  CHECK((all.advantages.tail(5) == second.advantages).all());
  CHECK(gae({.rewards = std::vector<double>{}, .values = std::vector<double>{}, .offsets = offsets{0}})
            .advantages.size() == 0);
  CHECK(gae({.rewards = std::vector<double>{}, .values = std::vector<double>{}, .offsets = offsets{0, 0}})
            .returns.size() == 0);
}

TEST_CASE("mistake 9: masked numbers do not leak into gae") {
  const Eigen::ArrayXd r = array({1, not_a_number, 2, 3, infinity}),
                       v = array({0.5, not_a_number, 0.25, 1, not_a_number});
  const auto masked = gae({.rewards = r, .values = v, .mask = flags{1, 0, 1, 1, 0}, .offsets = offsets{0, 5}},
                          {.gamma = 0.9, .lambda = 0.8});
  const auto without = gae({.rewards = array({1, 2, 3}), .values = array({0.5, 0.25, 1}), .offsets = offsets{0, 3}},
                           {.gamma = 0.9, .lambda = 0.8});
  CHECK(
      (masked.advantages == array({without.advantages[0], 0, without.advantages[1], without.advantages[2], 0})).all());
  CHECK((masked.returns == array({without.returns[0], 0, without.returns[1], without.returns[2], 0})).all());
}

TEST_CASE("gae takes views, spans and expressions, and gives the same numbers") {
  const std::vector<float> r{1, 2, 3}, v{0.5f, 0.25f, 0.125f};
  const auto expected =
      gae(coho::advantage_inputs<float>{.rewards = r, .values = v, .offsets = offsets{0, 3}}, {.lambda = 0.5})
          .advantages;
  CHECK((gae(coho::advantage_inputs<float>{.rewards = std::span<const float>(r), .values = v, .offsets = offsets{0, 3}},
             {.lambda = 0.5})
             .advantages == expected)
            .all());
  const auto half = r | ranges::views::transform([](float x) { return x / 1; });
  CHECK((gae(coho::advantage_inputs<float>{.rewards = half, .values = v, .offsets = offsets{0, 3}}, {.lambda = 0.5})
             .advantages == expected)
            .all());
  CHECK((gae(
             coho::advantage_inputs<float>{
                 .rewards = coho::as_array(r) * 1.0f, .values = coho::as_array(v), .offsets = offsets{0, 3}},
             {.lambda = 0.5})
             .advantages == expected)
            .all());
}

TEST_CASE("gae: a λ of the returns' own leaves the advantages and gives the returns of that λ") {
  const Eigen::ArrayXd r = normals(9, 1), v = normals(9, 2);
  const offsets two{0, 4, 9};
  const coho::gae_options policy{.gamma = 0.9, .lambda = 0.8}, value{.gamma = 0.9, .lambda = 1};
  const auto both =
      gae({.rewards = r, .values = v, .offsets = two}, {.gamma = 0.9, .lambda = 0.8, .returns_lambda = 1});
  CHECK((both.advantages == gae({.rewards = r, .values = v, .offsets = two}, policy).advantages).all());
  CHECK((both.returns == gae({.rewards = r, .values = v, .offsets = two}, value).returns).all());
  // By hand: errors 2 − 1 = 1 (last) and 0 + 1 − 3 = −2, λ 0.5 and 1.
  const auto hand = gae({.rewards = array({0, 2}), .values = array({3, 1}), .offsets = offsets{0, 2}},
                        {.lambda = 0.5, .returns_lambda = 1});
  CHECK((hand.advantages == array({-1.5, 1})).all());
  CHECK((hand.returns == array({2, 2})).all());
}

TEST_CASE("gae: λ by length is 1 − 1/(α·n) of a sequence's real tokens") {
  const Eigen::ArrayXd r = normals(12, 3), v = normals(12, 4);
  const flags mask{1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1};  // 8, 2 and 0 … of α·n = 4, 1: λ = 0.75, 0
  const auto found = gae({.rewards = r, .values = v, .mask = mask, .offsets = offsets{0, 8, 11, 12}},
                         {.gamma = 0.9, .length_alpha = 0.5});
  const auto first =
      gae({.rewards = r.head(8), .values = v.head(8), .offsets = offsets{0, 8}}, {.gamma = 0.9, .lambda = 0.75});
  const auto second =
      gae({.rewards = r.segment(8, 3), .values = v.segment(8, 3), .mask = flags{0, 1, 0}, .offsets = offsets{0, 3}},
          {.gamma = 0.9, .lambda = 0});
  CHECK((found.advantages.head(8) == first.advantages).all());
  CHECK((found.returns.head(8) == first.returns).all());
  CHECK((found.advantages.segment(8, 3) == second.advantages).all());
  CHECK(coho::gae_options{.length_alpha = 0.05}.advantage_lambda(400) == Approx(0.95));
  CHECK(coho::gae_options{.length_alpha = 0.05}.advantage_lambda(10) == 0);  // never below
  CHECK(coho::gae_options{.returns_lambda = 1, .length_alpha = 0.05}.target_lambda(10) == 1);
  CHECK_THROWS_AS(gae({.rewards = r, .values = v, .offsets = offsets{0, 12}}, {.lambda = 0.9, .length_alpha = 0.05}),
                  coho::option_error);
}

TEST_CASE("gae names what does not fit") {
  const Eigen::ArrayXd x = array({1, 2, 3});
  CHECK_THROWS_AS(gae({.rewards = x, .values = array({1}), .offsets = offsets{0, 3}}), coho::argument_error);
  CHECK_THROWS_AS(gae({.rewards = x, .values = x, .mask = flags{1}, .offsets = offsets{0, 3}}), coho::argument_error);
  CHECK_THROWS_AS(gae({.rewards = x, .values = x, .offsets = offsets{0, 2}}), coho::argument_error);
  CHECK_THROWS_AS(gae({.rewards = x, .values = x, .offsets = offsets{}}), coho::argument_error);
  CHECK_THROWS_AS(gae({.rewards = x, .values = x, .offsets = offsets{0, 3}}, {.gamma = 1.1}), coho::option_error);
  CHECK_THROWS_AS(gae({.rewards = x, .values = x, .offsets = offsets{0, 3}}, {.gamma = not_a_number}),
                  coho::option_error);
  CHECK_THROWS_AS(gae({.rewards = x, .values = x, .offsets = offsets{0, 3}}, {.lambda = -0.1}), coho::option_error);
}

TEST_CASE("GAE refuses rewards and values that are not finite, wherever in a sequence they are") {
  const offsets slots{0, 3, 6};
  for (const double bad : {not_a_number, infinity, -infinity}) {
    for (Eigen::Index t = 3; t < 6; ++t) {
      for (const coho::gae_options options :
           {coho::gae_options{}, coho::gae_options{.gamma = 0}, coho::gae_options{.lambda = 0}}) {
        Eigen::ArrayXd rewards = Eigen::ArrayXd::Ones(6), values = rewards;
        rewards[t] = bad;
        CHECK_THROWS_WITH(coho::gae({.rewards = rewards, .values = values, .offsets = slots}, options),
                          "gae: a reward or value of sequence 1 is not finite");
        CHECK_THROWS_AS(coho::gae({.rewards = values, .values = rewards, .offsets = slots}, options),
                        coho::argument_error);
      }
    }
  }
}
