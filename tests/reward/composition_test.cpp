#include <array>
#include <stdexcept>
#include <vector>

#include <coho/reward/composition.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;

namespace {

struct named_bonus {
  double operator()(const reward_query&) const { throw std::logic_error("its parts are there to be asked"); }
  std::array<reward_part, 2> parts(const reward_query& query) const {
    return {{{"language", 2}, {"length", static_cast<double>(query.response.size())}}};
  }
};

std::vector<reward_breakdown> breakdowns() {
  return {{.score = 1, .bonus = {{"bonus", 3}}}, {.score = -1, .bonus = {{"bonus", -0.8}}}, {.score = 6.5}};
}

const std::vector<std::uint8_t> all_but_the_last{1, 1, 0}, only_the_second{0, 1, 0};
const shaping_options penalised{.unfinished_penalty = -6},
    replaced{.unfinished_penalty = -6, .unfinished = unfinished_mode::replace};

Eigen::ArrayXd earned() { return Eigen::Array3d(4, -1.8, 6.5); }

}  // namespace

TEST_CASE("a reward is the normalised score and the parts of the bonus") {
  const reward_query query{.prompt = "q", .response = "abc"};
  const named_bonus bonus;
  const auto parts = compose_reward(3, bonus, query, {.mean = 1, .deviation = 2});
  CHECK(parts == reward_breakdown{.score = 1, .bonus = {{"language", 2}, {"length", 3}}});
  CHECK(compose_reward(9, bonus, query, {.mean = 1, .deviation = 2, .clip = 1.5}).score == 1.5);
  CHECK_THROWS_AS(compose_reward(9, bonus, query, {.deviation = 0}), option_error);

  const auto number = [](const reward_query& q) { return static_cast<float>(q.response.size()) / 2; };
  CHECK(compose_reward(3, number, query) == reward_breakdown{.score = 3, .bonus = {{"bonus", 1.5}}});
}

TEST_CASE("an empty response earns what the worst answer does, and is unfinished") {
  Eigen::ArrayXd rewards = earned();
  auto parts = breakdowns();
  const auto finished =
      settle_rewards({.rewards = rewards, .breakdowns = parts, .finished = all_but_the_last, .empty = only_the_second},
                     empty_response_rule::lowest, penalised);
  CHECK((rewards == Eigen::Array3d(4, 4, 6.5)).all());
  CHECK(finished == std::vector<std::uint8_t>{1, 0, 0});
  CHECK(parts[0].total() == 4);
  CHECK(parts[1].empty == Approx(5.8));
  CHECK(parts[1].unfinished == -6);
  CHECK(parts[2].empty == 0);
  CHECK(parts[2].total() == 0.5);

  // Settled again, nothing is counted twice.
  const auto once = parts;
  settle_rewards({.rewards = rewards, .breakdowns = parts, .finished = all_but_the_last, .empty = only_the_second},
                 empty_response_rule::lowest, penalised);
  CHECK(parts == once);
}

TEST_CASE("a penalty that replaces the reward is what it takes away") {
  Eigen::ArrayXd rewards = earned();
  auto parts = breakdowns();
  settle_rewards({.rewards = rewards, .breakdowns = parts, .finished = all_but_the_last, .empty = only_the_second},
                 empty_response_rule::lowest, replaced);
  CHECK(parts[0].unfinished == 0);
  CHECK(parts[1].total() == -6);
  CHECK(parts[2].total() == -6);
}

TEST_CASE("empty responses that are scored stay as they are") {
  Eigen::ArrayXd rewards = earned();
  auto parts = breakdowns();
  CHECK(
      settle_rewards({.rewards = rewards, .breakdowns = parts, .finished = all_but_the_last, .empty = only_the_second},
                     empty_response_rule::scored, penalised) == all_but_the_last);
  CHECK((rewards == earned()).all());
  CHECK(parts[1].empty == 0);
  CHECK(parts[1].unfinished == 0);
  CHECK(parts[2].unfinished == -6);
}

TEST_CASE("flags and breakdowns may be left out, and must fit") {
  Eigen::ArrayXd rewards = earned();
  auto parts = breakdowns();
  CHECK(settle_rewards({.rewards = rewards, .breakdowns = parts}, empty_response_rule::lowest, penalised).empty());
  CHECK(settle_rewards({.rewards = rewards, .empty = only_the_second}, empty_response_rule::lowest, penalised) ==
        std::vector<std::uint8_t>{1, 0, 1});
  CHECK(rewards(1) == 4);
  CHECK(parts[1].empty == 0);
  const std::vector<std::uint8_t> two(2, 1);
  CHECK_THROWS_AS(settle_rewards({.rewards = rewards, .finished = two}, empty_response_rule::lowest, penalised),
                  argument_error);
  CHECK_THROWS_AS(settle_rewards({.rewards = rewards, .empty = two}, empty_response_rule::lowest, penalised),
                  argument_error);
  parts.pop_back();
  CHECK_THROWS_AS(settle_rewards({.rewards = rewards, .breakdowns = parts}, empty_response_rule::lowest, penalised),
                  argument_error);
}

TEST_CASE("the worst answer is that of all ranks") {
  test::run_ranks(2, [](auto& ranks) {
    const bool first = ranks.rank() == 0;
    Eigen::ArrayXd rewards = Eigen::ArrayXd::Constant(1, first ? 9.0 : -2.0);
    std::vector<reward_breakdown> parts{{.score = rewards(0)}};
    const std::vector<std::uint8_t> empty{static_cast<std::uint8_t>(first)};
    settle_rewards({.rewards = rewards, .breakdowns = parts, .empty = empty}, empty_response_rule::lowest, penalised,
                   ranks);
    if (rewards(0) != -2 || parts[0].empty != (first ? -11 : 0)) throw error("not the lowest reward of all ranks");
  });
}
