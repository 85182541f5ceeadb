#include "rollouts/reward_parts.hpp"

#include <map>
#include <string>

#include <coho/reward/composition.hpp>

#include "rollouts/symbolic_rewards.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

std::string first_letter(std::string_view text) { return std::string(text.substr(0, 1)); }

symbolic_rewards both() {
  return {length_bonus{{.coefficient = 5, .max_response_tokens = 10, .cap = 0.8}}, first_letter, 2.0};
}

ppo_options options() {
  ppo_options out;
  out.normalization = {.mean = 1, .deviation = 2};
  out.shaping.unfinished_penalty = -6;
  return out;
}

// Three rollouts of 2, 4 and 10 tokens; the last one was cut, the second is in another language.
trajectory_batch rollouts() {
  trajectory_batch out;
  const std::vector<std::string> answers{"ax", "bx", "ay"};
  const std::size_t lengths[] = {2, 4, 10};
  for (std::size_t i = 0; i < 3; ++i) {
    out.prompts.push_back({.length_multiplier = i == 1 ? -0.4 : 1.0, .key = i});
    out.batch.prompts.push_back({1});
    out.batch.responses.push_back(std::vector<token>(lengths[i], 5));
    out.prompt_texts.emplace_back("a?");
    out.response_texts.push_back(answers[i]);
    out.finished.push_back(i < 2);
  }
  out.model_scores = Eigen::Array3d(3, -1, 2);
  return out;
}

// What a driver does with them: the rewards composed, then settled. Texts are identified at the first only.
trajectory_batch composed(const ppo_options& options, const symbolic_rewards& bonus, trajectory_batch out) {
  out.sequence_rewards.resize(static_cast<Eigen::Index>(out.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto place = static_cast<Eigen::Index>(i);
    out.breakdowns.push_back(compose_reward(out.model_scores(place), bonus, out.query(i), options.normalization));
    out.sequence_rewards(place) = out.breakdowns.back().earned();
  }
  settle_rewards(
      {.rewards = out.sequence_rewards, .breakdowns = out.breakdowns, .finished = out.finished, .empty = out.empty},
      options.empty_responses, options.shaping);
  return out;
}

std::map<std::string, double> means(const reward_parts& parts) {
  std::map<std::string, double> out;
  for (const auto& [name, mean] : parts.means()) out.emplace(name, mean);
  return out;
}

}  // namespace

TEST_CASE("reward_parts: score, bonuses and penalty of each rollout, and their means") {
  reward_parts parts(options(), both(), true);
  const auto all = rollouts();
  const auto one = parts.breakdown(all.query(1), -1);
  CHECK(one.score == -1);
  CHECK(one.part("language") == 0);
  CHECK(one.part("length") == Approx(5 * 0.4 * -0.4));
  const auto cut = parts.breakdown(all.query(2), 2);
  CHECK(cut.part("length") == Approx(4));  // 1 is above the cap
  CHECK(cut.earned() == Approx(0.5 + 2 + 4));

  parts.on_rollouts(composed(options(), both(), all));
  const auto mean = means(parts);
  CHECK(mean.size() == 6);
  CHECK(mean.at("reward/empty") == 0);
  CHECK(mean.at("reward/score") == Approx((1 - 1 + 0.5) / 3));
  CHECK(mean.at("reward/language") == Approx(4.0 / 3));
  CHECK(mean.at("reward/length") == Approx((1 - 0.8 + 4) / 3));
  CHECK(mean.at("reward/unfinished") == Approx(-2));
  CHECK(mean.at("language_match") == Approx(2.0 / 3));
}

TEST_CASE("reward_parts: a penalty that replaces the reward is what it takes away, so that the parts add up") {
  ppo_options replacing = options();
  replacing.shaping.unfinished = unfinished_mode::replace;
  const auto all = composed(replacing, both(), rollouts());
  CHECK(all.breakdowns[2].total() == Approx(-6));
  CHECK(all.breakdowns[0].total() == Approx(1 + 2 + 1));
  reward_parts parts(replacing, both(), true);
  parts.on_rollouts(all);
  CHECK(means(parts).at("reward/unfinished") == Approx((-6 - 6.5) / 3));
}

TEST_CASE("reward_parts: what an empty response loses is a part of its own") {
  auto all = rollouts();
  all.response_texts[1].clear();
  all.empty = {0, 1, 0};
  // Score, language and length; the last one is unfinished, which counts later. The empty one earns the worst answer's.
  const std::vector<double> earned{1 + 2 + 1, -1 - 0.8, 0.5 + 2 + 4};
  reward_parts parts(options(), both(), true);
  parts.on_rollouts(composed(options(), both(), all));
  const auto mean = means(parts);
  CHECK(mean.at("reward/empty") == Approx((4 + 1.8) / 3));
  CHECK(mean.at("reward/unfinished") == Approx(-12.0 / 3));
  const std::vector<double> settled = parts.total_rewards(earned, all.finished, all.empty);
  CHECK(settled == std::vector<double>{4, 4 - 6, 6.5 - 6});

  ppo_options scoring = options();
  scoring.empty_responses = empty_response_rule::scored;
  reward_parts plain(scoring, both(), true);
  plain.on_rollouts(composed(scoring, both(), all));
  CHECK(means(plain).count("reward/empty") == 0);
  CHECK(means(plain).at("reward/unfinished") == Approx(-2));
  CHECK(plain.total_rewards(earned, all.finished, all.empty) == std::vector<double>{4, earned[1], 6.5 - 6});

  ppo_options replacing = options();
  replacing.shaping.unfinished = unfinished_mode::replace;
  CHECK(reward_parts(replacing, both(), true).total_rewards(earned, all.finished, all.empty) ==
        std::vector<double>{4, -6, -6});
}

TEST_CASE("reward_parts: they are read from the rollouts, not made again") {
  std::size_t asked = 0;
  const symbolic_rewards counting(
      std::nullopt,
      [&](std::string_view text) {
        ++asked;
        return std::optional(first_letter(text));
      },
      2.0);
  reward_parts parts(options(), counting, true);
  const auto all = composed(options(), counting, rollouts());
  CHECK(asked == 6);
  parts.on_rollouts(all);
  CHECK(asked == 6);
  CHECK(means(parts).at("language_match") == Approx(2.0 / 3));
}

TEST_CASE("reward_parts: what is switched off has no mean") {
  ppo_options plain = options();
  plain.shaping.unfinished_penalty = 0;
  reward_parts scored(plain, {std::nullopt, first_letter, 0}, true), unscored(plain, both(), false);
  scored.on_rollouts(composed(plain, {std::nullopt, first_letter, 0}, rollouts()));
  unscored.on_rollouts(composed(plain, both(), rollouts()));
  CHECK(means(scored).size() == 2);
  CHECK(means(scored).count("reward/score") == 1);
  CHECK(means(scored).count("reward/empty") == 1);
  CHECK(means(unscored).size() == 4);
  CHECK(means(unscored).count("reward/score") == 0);
}

TEST_CASE("reward_parts: means are over the rollouts of all ranks") {
  run_ranks(2, [](auto& ranks) {
    reward_parts parts(options(), both(), true);
    const auto all = rollouts();
    trajectory_batch own;
    for (std::size_t i = ranks.rank() == 0 ? 0 : 2; i < (ranks.rank() == 0 ? 2U : 3U); ++i) {
      own.prompts.push_back(all.prompts[i]);
      own.batch.prompts.push_back(all.batch.prompts[i]);
      own.batch.responses.push_back(all.batch.responses[i]);
      own.prompt_texts.push_back(all.prompt_texts[i]);
      own.response_texts.push_back(all.response_texts[i]);
      own.finished.push_back(all.finished[i]);
    }
    own.model_scores = ranks.rank() == 0 ? Eigen::ArrayXd(Eigen::Array2d(3, -1)) : Eigen::ArrayXd::Constant(1, 2.0);
    parts.on_rollouts(composed(options(), both(), own));
    const auto mean = parts.means(ranks);
    if (mean.at(0).first != "reward/score" || std::abs(mean[0].second - 0.5 / 3) > 1e-12)
      throw std::runtime_error("another mean than that of all rollouts");
  });
}
