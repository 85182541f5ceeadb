#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <coho/train/steps/collect_rollouts.hpp>
#include <coho/train/steps/sample_and_score.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"

using namespace coho;
using test::small_world;

namespace {

// A response that ends at once has no text.
std::string decoder(std::span<const token> tokens) { return std::string(tokens[0] == 0 ? 0 : tokens.size(), 'x'); }

struct bonus_by_parts {
  double operator()(const reward_query& query) const { return 0.1 + 0.2 * static_cast<double>(query.response.size()); }
  std::array<reward_part, 2> parts(const reward_query& query) const {
    return {{{"constant", 0.1}, {"length", 0.2 * static_cast<double>(query.response.size())}}};
  }
};

const generation_options two_tokens{.max_new_tokens = small_world::limit};

}  // namespace

TEST_CASE("responses are sampled, decoded, asked about and scored") {
  small_world world;
  const bonus_by_parts bonus;
  const auto prompts = small_world::prompts(12, 3);
  const auto rollouts =
      sample_and_score(scoring_models{world.policy, small_world::reward, decoder, bonus}, prompts, two_tokens, rng(5),
                       {.normalization = {.mean = 0.25, .deviation = 2}, .batch = {.sequences = 5}});
  REQUIRE(rollouts.size() == 12);
  std::size_t empty = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    CAPTURE(i);
    const auto place = static_cast<Eigen::Index>(i);
    const double score = small_world::reward_of(rollouts.batch.responses[i]);
    CHECK(rollouts.model_scores(place) == score);
    CHECK(rollouts.response_texts[i] == decoder(rollouts.batch.responses[i]));
    CHECK((rollouts.empty[i] != 0) == rollouts.response_texts[i].empty());
    empty += rollouts.empty[i];
    const auto& parts = rollouts.breakdowns[i];
    CHECK(parts.score == (score - 0.25) / 2);
    CHECK(parts.part("length") == 0.2 * static_cast<double>(rollouts.response_texts[i].size()));
    CHECK(rollouts.sequence_rewards(place) == parts.score + (parts.part("constant") + parts.part("length")));
    // Each draws from the stream of its key, whatever else is sampled.
    packed<token> one{{small_world::prompt}};
    std::vector<rng> streams{rng(5).split(3 + i)};
    CHECK(world.policy.generate(one, two_tokens, streams).responses.values ==
          std::vector<token>(rollouts.batch.responses[i].begin(), rollouts.batch.responses[i].end()));
  }
  CHECK(empty > 0);
  CHECK(empty < 12);
}

TEST_CASE("without decoder and bonus there are scores alone") {
  small_world world;
  const auto rollouts =
      sample_and_score(scoring_models{world.policy, small_world::reward}, small_world::prompts(4), two_tokens, rng(5));
  CHECK(rollouts.response_texts == std::vector<std::string>(4));
  CHECK(rollouts.empty == std::vector<std::uint8_t>(4, 0));
  CHECK((rollouts.sequence_rewards == rollouts.model_scores).all());
  for (const auto& parts : rollouts.breakdowns) CHECK(parts.bonus.empty());
}

TEST_CASE("a PPO step's rollouts are those of sample_and_score") {
  small_world world;
  const bonus_by_parts bonus;
  const auto prompts = small_world::prompts(6);
  auto options = small_world::options();
  options.normalization = {.mean = 0.1, .deviation = 3};
  ppo_statistics statistics;
  const ppo_models models{world.policy,    world.initial,   world.value, small_world::reward,
                          world.optimizer, world.optimizer, decoder,     bonus};
  const auto collected = collect_rollouts(models, prompts, options, 2, statistics);
  const auto sampled = sample_and_score(models, prompts, options.generation, rng(options.seed).split(2),
                                        {.normalization = options.normalization});
  CHECK(collected.batch.responses == sampled.batch.responses);
  CHECK((collected.sequence_rewards == sampled.sequence_rewards).all());
  CHECK(collected.breakdowns == sampled.breakdowns);
}

TEST_CASE("prompts and numbers that cannot be are refused") {
  small_world world;
  const auto reward = [](std::span<const reward_query> queries) { return std::vector<double>(queries.size(), 1.0); };
  const auto bonus = [](const reward_query&) { return std::nan(""); };
  const scoring_models models{world.policy, reward, no_decoder, bonus};
  CHECK_THROWS_WITH(sample_and_score(models, small_world::prompts(2), two_tokens, rng(1)),
                    Catch::Matchers::ContainsSubstring("the bonus of rollout 0 is not finite"));
  const std::vector<rl_prompt> alike(2, {.tokens = {1}, .key = 7});
  CHECK_THROWS_AS(sample_and_score(models, alike, two_tokens, rng(1)), argument_error);
}
