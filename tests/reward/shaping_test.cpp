#include <vector>

#include <coho/advantage/gae.hpp>
#include <coho/reward/shaping.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::shape_rewards, coho::shaping_options;

TEMPLATE_TEST_CASE("KL at every token, reward at the last", "", Eigen::ArrayXd, Eigen::ArrayXf, std::vector<double>,
                   std::vector<float>) {
  using inputs = coho::shape_rewards_inputs<typename TestType::value_type>;
  const auto p = make<TestType>({-1, -2, -3}), q = make<TestType>({-2, -2, -2}), rewards = make<TestType>({10, 20});
  const Eigen::ArrayXd shaped = shape_rewards(
      inputs{.sequence_rewards = rewards, .log_probs = p, .reference_log_probs = q, .offsets = offsets{0, 2, 3}},
      {.kl_coefficient = 0.5});
  CHECK((shaped == array({-0.5, 10, 20.5})).all());
}

TEST_CASE("mistake 1: the sequence reward lands on the last real token, not on padding nor past the end") {
  // Two responses padded to four: of two and of four real tokens.
  const Eigen::ArrayXd zero = Eigen::ArrayXd::Zero(8);
  const flags mask{1, 1, 0, 0, 1, 1, 1, 1};
  const Eigen::ArrayXd shaped = shape_rewards({.sequence_rewards = array({3, 5}),
                                               .log_probs = zero,
                                               .reference_log_probs = zero,
                                               .mask = mask,
                                               .offsets = offsets{0, 4, 8}});
  CHECK((shaped == array({0, 3, 0, 0, 0, 0, 0, 5})).all());
  // Interior gaps do not end a response.
  CHECK((shape_rewards({.sequence_rewards = array({3}),
                        .log_probs = zero.head(4),
                        .reference_log_probs = zero.head(4),
                        .mask = flags{1, 0, 1, 0},
                        .offsets = offsets{0, 4}}) == array({0, 0, 3, 0}))
            .all());
}

TEST_CASE("the fixed last position, and what it changes") {
  const Eigen::ArrayXd zero = Eigen::ArrayXd::Zero(8);
  const flags mask{1, 1, 0, 0, 1, 1, 1, 1};
  const offsets slots{0, 4, 8};
  shaping_options fixed;
  fixed.placement = coho::reward_placement::last_position;
  const Eigen::ArrayXd last = shape_rewards({.sequence_rewards = array({3, 5}),
                                             .log_probs = zero,
                                             .reference_log_probs = zero,
                                             .mask = mask,
                                             .offsets = slots},
                                            fixed);
  CHECK((last == array({0, 0, 0, 3, 0, 0, 0, 5})).all());

  // With discounts of 1 the advantages of real tokens do not notice, whatever the padding's values.
  const Eigen::ArrayXd real = shape_rewards({.sequence_rewards = array({3, 5}),
                                             .log_probs = zero,
                                             .reference_log_probs = zero,
                                             .mask = mask,
                                             .offsets = slots}),
                       values = normals(8, 1);
  const auto a = coho::gae({.rewards = last, .values = values, .offsets = slots}),
             b = coho::gae({.rewards = real, .values = values, .mask = mask, .offsets = slots});
  for (Eigen::Index t = 0; t < 8; ++t) {
    if (mask[static_cast<std::size_t>(t)]) CHECK(a.advantages[t] == Approx(b.advantages[t]).margin(1e-12));
  }
  // With a discount they do.
  const auto c = coho::gae({.rewards = last, .values = values, .offsets = slots}, {.gamma = 0.9});
  const auto d = coho::gae({.rewards = real, .values = values, .mask = mask, .offsets = slots}, {.gamma = 0.9});
  CHECK(std::abs(c.advantages[0] - d.advantages[0]) > 0.1);
  // Without padding both are the last token.
  CHECK((shape_rewards(
             {.sequence_rewards = array({3, 5}), .log_probs = zero, .reference_log_probs = zero, .offsets = slots},
             fixed) ==
         shape_rewards(
             {.sequence_rewards = array({3, 5}), .log_probs = zero, .reference_log_probs = zero, .offsets = slots}))
            .all());
}

TEST_CASE("unfinished responses: add or replace") {
  const Eigen::ArrayXd zero = Eigen::ArrayXd::Zero(2), rewards = array({1, 2});
  const offsets one_each{0, 1, 2};
  const flags finished{1, 0};
  CHECK((shape_rewards({.sequence_rewards = rewards,
                        .log_probs = zero,
                        .reference_log_probs = zero,
                        .offsets = one_each,
                        .finished = finished},
                       {.unfinished_penalty = -6}) == array({1, -4}))
            .all());
  CHECK((shape_rewards({.sequence_rewards = rewards,
                        .log_probs = zero,
                        .reference_log_probs = zero,
                        .offsets = one_each,
                        .finished = finished},
                       {.unfinished_penalty = -6, .unfinished = coho::unfinished_mode::replace}) == array({1, -6}))
            .all());
  CHECK((shape_rewards({.sequence_rewards = rewards,
                        .log_probs = zero,
                        .reference_log_probs = zero,
                        .offsets = one_each,
                        .finished = finished}) == array({1, 2}))
            .all());
}

TEST_CASE("the penalty of an unfinished response: what it earns, and the change") {
  const shaping_options added{.unfinished_penalty = -6};
  CHECK(added.reward_with_penalty(4) == -2);
  CHECK(added.penalty_on(4) == -6);
  const shaping_options replaced{.unfinished_penalty = -6, .unfinished = coho::unfinished_mode::replace};
  CHECK(replaced.reward_with_penalty(4) == -6);
  CHECK(replaced.penalty_on(4) == -10);
  CHECK(added.penalises());
  CHECK(shaping_options{.unfinished = coho::unfinished_mode::replace}.penalises());
  CHECK_FALSE(shaping_options{}.penalises());
}

TEST_CASE("clips of reward and KL") {
  const Eigen::ArrayXd p = array({0, 0}), q = array({-30, 30});
  const Eigen::ArrayXd shaped = shape_rewards(
      {.sequence_rewards = array({100}), .log_probs = p, .reference_log_probs = q, .offsets = offsets{0, 2}},
      {.kl_coefficient = 1, .kl_clip = 10, .reward_clip = 5});
  CHECK((shaped == array({-10, 15})).all());
}

TEST_CASE("mistake 5: the paper's preset lets KL be negative, the released code's clamps it at 0") {
  const Eigen::ArrayXd p = array({-3, -1}), q = array({-1, -3});
  CHECK(shape_rewards(
            {.sequence_rewards = array({0}), .log_probs = p, .reference_log_probs = q, .offsets = offsets{0, 2}},
            shaping_options::paper())
            .isApprox(array({0.04, -0.04})));
  CHECK(shape_rewards(
            {.sequence_rewards = array({0}), .log_probs = p, .reference_log_probs = q, .offsets = offsets{0, 2}},
            shaping_options::salmon_code())
            .isApprox(array({0, -0.2})));
}

TEST_CASE("the released code's preset in one example") {
  // One response of two real tokens in a slot of three, unfinished: 10·(−0.01·KL), and 10·(1.5 − 6) at the fixed last
  // position.
  const Eigen::ArrayXd shaped = shape_rewards({.sequence_rewards = array({1.5}),
                                               .log_probs = array({-1, -1, not_a_number}),
                                               .reference_log_probs = array({-3, 0, not_a_number}),
                                               .mask = flags{1, 1, 0},
                                               .offsets = offsets{0, 3},
                                               .finished = flags{0}},
                                              shaping_options::salmon_code());
  CHECK(shaped.isApprox(array({-0.2, 0, -45})));
}

TEST_CASE("whitening of shaped rewards keeps the mean and takes the place of the scale") {
  const Eigen::ArrayXd p = normals(6, 1), q = normals(6, 2), rewards = array({1, 4});
  const offsets slots{0, 2, 6};
  const flags mask{1, 1, 1, 1, 1, 0};
  shaping_options options{.scale = 10, .whiten = true};
  const Eigen::ArrayXd raw = shape_rewards(
      {.sequence_rewards = rewards, .log_probs = p, .reference_log_probs = q, .mask = mask, .offsets = slots});
  CHECK(shape_rewards(
            {.sequence_rewards = rewards, .log_probs = p, .reference_log_probs = q, .mask = mask, .offsets = slots},
            options)
            .isApprox(coho::whiten(raw, mask, {.keep_mean = true})));
  options.whitening = coho::whiten_options{.keep_mean = true, .scope = coho::whiten_scope::all_positions};
  CHECK(shape_rewards(
            {.sequence_rewards = rewards, .log_probs = p, .reference_log_probs = q, .mask = mask, .offsets = slots},
            options)
            .isApprox(coho::whiten(raw, {.keep_mean = true})));
  CHECK(
      shape_rewards({.sequence_rewards = rewards, .log_probs = p, .reference_log_probs = q, .offsets = slots},
                    {.whiten = true})
          .isApprox(coho::whiten(
              shape_rewards({.sequence_rewards = rewards, .log_probs = p, .reference_log_probs = q, .offsets = slots}),
              {.keep_mean = true})));
}

TEST_CASE("whitening of real tokens refuses a reward on padding instead of losing it") {
  const Eigen::ArrayXd p = normals(6, 1), q = normals(6, 2), rewards = array({1, 4});
  const offsets slots{0, 2, 6};
  const auto shaped = [&](const flags& mask, const shaping_options& options) {
    return shape_rewards(
        {.sequence_rewards = rewards, .log_probs = p, .reference_log_probs = q, .mask = mask, .offsets = slots},
        options);
  };
  const flags whole(6, 1), gap{1, 1, 1, 0, 1, 1}, padded{1, 1, 1, 1, 1, 0};
  shaping_options options{.placement = coho::reward_placement::last_position, .whiten = true};
  REQUIRE(options.whitening.scope == coho::whiten_scope::real_tokens);
  CHECK_THROWS_AS(shaped(padded, options), coho::argument_error);
  CHECK_NOTHROW(shaped(whole, options));
  CHECK_NOTHROW(shaped(gap, options));
  // The message's two ways out, and whitening off.
  options.whitening.scope = coho::whiten_scope::all_positions;
  CHECK_NOTHROW(shaped(padded, options));
  options.whitening.scope = coho::whiten_scope::real_tokens;
  options.placement = coho::reward_placement::last_real_token;
  CHECK_NOTHROW(shaped(padded, options));
  options = {.placement = coho::reward_placement::last_position};
  CHECK(shaped(padded, options)[5] == 4);

  auto code = shaping_options::salmon_code();
  CHECK(shaped(padded, code)[5] == Approx(40));
  code.whiten = true;
  const Eigen::ArrayXd white = shaped(padded, code);
  CHECK(white[5] == white.maxCoeff());
}

TEST_CASE("mistake 9: masked NaN does not reach shaped rewards") {
  const Eigen::ArrayXd shaped = shape_rewards({.sequence_rewards = array({1}),
                                               .log_probs = array({-1, not_a_number}),
                                               .reference_log_probs = array({-1, infinity}),
                                               .mask = flags{1, 0},
                                               .offsets = offsets{0, 2}});
  CHECK((shaped == array({1, 0})).all());
}

TEST_CASE("empty responses, and responses without a real token, have no place for a reward") {
  const Eigen::ArrayXd zero = Eigen::ArrayXd::Zero(2);
  CHECK((shape_rewards({.sequence_rewards = array({9, 1}),
                        .log_probs = zero,
                        .reference_log_probs = zero,
                        .offsets = offsets{0, 0, 2}}) == array({0, 1}))
            .all());
  CHECK((shape_rewards({.sequence_rewards = array({9}),
                        .log_probs = zero,
                        .reference_log_probs = zero,
                        .mask = flags{0, 0},
                        .offsets = offsets{0, 2}}) == 0.0)
            .all());
  CHECK((shape_rewards({.sequence_rewards = array({9}),
                        .log_probs = zero,
                        .reference_log_probs = zero,
                        .mask = flags{0, 0},
                        .offsets = offsets{0, 2}},
                       {.placement = coho::reward_placement::last_position}) == array({0, 9}))
            .all());
}

TEST_CASE("shaping names what it cannot use") {
  const Eigen::ArrayXd two = array({1, 2}), one = array({1});
  const offsets whole{0, 2};
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = two, .log_probs = two, .reference_log_probs = two, .offsets = whole}),
      coho::argument_error);
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = one, .log_probs = two, .reference_log_probs = one, .offsets = whole}),
      coho::argument_error);
  CHECK_THROWS_AS(
      shape_rewards(
          {.sequence_rewards = one, .log_probs = two, .reference_log_probs = two, .mask = flags{1}, .offsets = whole}),
      coho::argument_error);
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = one, .log_probs = two, .reference_log_probs = two, .offsets = offsets{0, 1}}),
      coho::argument_error);
  CHECK_THROWS_AS(shape_rewards({.sequence_rewards = one,
                                 .log_probs = two,
                                 .reference_log_probs = two,
                                 .offsets = whole,
                                 .finished = flags{1, 1}}),
                  coho::argument_error);
  CHECK_THROWS_AS(
      shape_rewards(
          {.sequence_rewards = array({not_a_number}), .log_probs = two, .reference_log_probs = two, .offsets = whole}),
      coho::argument_error);
  CHECK_THROWS_AS(shape_rewards({.sequence_rewards = one,
                                 .log_probs = array({1, not_a_number}),
                                 .reference_log_probs = two,
                                 .offsets = whole}),
                  coho::argument_error);
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = one, .log_probs = two, .reference_log_probs = two, .offsets = whole},
                    {.kl_coefficient = -1}),
      coho::option_error);
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = one, .log_probs = two, .reference_log_probs = two, .offsets = whole},
                    {.kl_clip = -1}),
      coho::option_error);
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = one, .log_probs = two, .reference_log_probs = two, .offsets = whole},
                    {.reward_clip = -1}),
      coho::option_error);
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = one, .log_probs = two, .reference_log_probs = two, .offsets = whole},
                    {.unfinished_penalty = not_a_number}),
      coho::option_error);
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = one, .log_probs = two, .reference_log_probs = two, .offsets = whole},
                    {.scale = infinity}),
      coho::option_error);
  CHECK_THROWS_AS(
      shape_rewards({.sequence_rewards = one, .log_probs = two, .reference_log_probs = two, .offsets = whole},
                    {.whitening = {.epsilon = 0}}),
      coho::option_error);
  CHECK_NOTHROW(shaping_options::paper().validate());
  CHECK_NOTHROW(shaping_options::salmon_code().validate());
  CHECK_THROWS_WITH(shaping_options{.kl_clip = -1}.validate("shaping."),
                    Catch::Matchers::ContainsSubstring("shaping.kl_clip"));
}

TEST_CASE("long responses are shaped as short ones are, wherever their padding begins") {
  constexpr std::size_t length = 300;
  const Eigen::ArrayXd p = normals(2 * length, 1, 1), q = normals(2 * length, 1, 2);
  for (const std::size_t real : {0, 1, 63, 64, 65, 128, 200, 299, 300}) {
    Eigen::ArrayXd holes = p;
    flags mask(2 * length, 1);
    for (std::size_t t = real; t < length; ++t) {
      mask[t] = 0;
      holes[static_cast<Eigen::Index>(t)] = std::nan("");
    }
    const Eigen::ArrayXd shaped = shape_rewards({.sequence_rewards = array({3, 5}),
                                                 .log_probs = holes,
                                                 .reference_log_probs = q,
                                                 .mask = mask,
                                                 .offsets = offsets{0, length, 2 * length}});
    for (std::size_t t = 0; t < 2 * length; ++t) {
      const auto at = static_cast<Eigen::Index>(t);
      const double reward = t + 1 == real ? 3 : t + 1 == 2 * length ? 5 : 0;
      CHECK(shaped[at] == Approx(mask[t] ? -0.02 * (p[at] - q[at]) + reward : 0).margin(1e-15));
    }
    if (real == 0) continue;
    holes[static_cast<Eigen::Index>(real - 1)] = HUGE_VAL;
    CHECK_THROWS_AS(shape_rewards({.sequence_rewards = array({3, 5}),
                                   .log_probs = holes,
                                   .reference_log_probs = q,
                                   .mask = mask,
                                   .offsets = offsets{0, length, 2 * length}}),
                    coho::argument_error);
  }
}

TEST_CASE("a coefficient of 0 gives no negative zeros, and large penalties are finite") {
  const Eigen::ArrayXd p = normals(20, 1, 1), q = normals(20, 1, 2), none = array({0});
  const Eigen::ArrayXd shaped =
      shape_rewards({.sequence_rewards = none, .log_probs = p, .reference_log_probs = q, .offsets = offsets{0, 20}},
                    {.kl_coefficient = 0});
  for (int t = 0; t < 20; ++t) CHECK((shaped[t] == 0 && !std::signbit(shaped[t])));
  const Eigen::ArrayXd large = Eigen::ArrayXd::Constant(20, -1e307), zero = Eigen::ArrayXd::Zero(20);
  CHECK(shape_rewards(
            {.sequence_rewards = none, .log_probs = large, .reference_log_probs = zero, .offsets = offsets{0, 20}},
            {.kl_coefficient = 10})[3] == Approx(1e308).epsilon(1e-12));
}
