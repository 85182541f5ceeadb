#include <coho/train/steps/gather_rollouts.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using test::small_world;

namespace {

std::vector<rl_prompt> some_prompts(std::size_t count) {
  auto out = small_world::prompts(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i].text = "prompt " + std::to_string(i);
    out[i].principles = std::vector<std::string>(i % 3, "be brief");
    out[i].length_multiplier = 0.5 + static_cast<double>(i);
    out[i].type = coho::prompt_types[i % 2];
    out[i].value_tokens = {1, 1};
  }
  return out;
}

// A response that ends at once has no text.
std::string decoder(std::span<const token> tokens) { return std::string(tokens[0] == 0 ? 0 : 1, 'x'); }

trajectory_batch collected(std::span<const rl_prompt> prompts) {
  small_world world;
  ppo_statistics statistics;
  const ppo_models models{world.policy,    world.initial,   world.value, small_world::reward,
                          world.optimizer, world.optimizer, decoder};
  return detail::collect_shares(models, prompts, small_world::options(), 0, statistics);
}

bool same(const trajectory_batch& a, const trajectory_batch& b) {
  bool prompts = a.size() == b.size();
  for (std::size_t i = 0; prompts && i < a.size(); ++i) {
    const auto &x = a.prompts[i], &y = b.prompts[i];
    prompts = x.tokens == y.tokens && x.text == y.text && x.type == y.type && x.principles == y.principles &&
              x.length_multiplier == y.length_multiplier && x.key == y.key && x.value_tokens == y.value_tokens;
  }
  const auto equal = [](const Eigen::ArrayXd& x, const Eigen::ArrayXd& y) {
    return x.size() == y.size() && (x == y).all();
  };
  return prompts && a.batch.prompts == b.batch.prompts && a.batch.responses == b.batch.responses &&
         a.value_prompts == b.value_prompts && a.prompt_texts == b.prompt_texts &&
         a.response_texts == b.response_texts && a.finished == b.finished && a.empty == b.empty &&
         equal(a.recorded_log_probs, b.recorded_log_probs) && equal(a.old_log_probs, b.old_log_probs) &&
         equal(a.reference_log_probs, b.reference_log_probs) && equal(a.values, b.values) &&
         equal(a.model_scores, b.model_scores) && equal(a.sequence_rewards, b.sequence_rewards);
}

}  // namespace

TEST_CASE("every rank has the rollouts of all, as one process would have collected them") {
  const auto prompts = some_prompts(7);
  const trajectory_batch whole = collected(prompts);
  CHECK(whole.size() == 7);
  for (std::size_t i = 0; i < 7; ++i) CHECK((whole.empty[i] != 0) == (whole.batch.responses.length(i) == 1));
  CHECK(same(gather_rollouts(whole, local), whole));
  // With five ranks' prompts in three parts two ranks have none.
  for (const std::size_t count : {2U, 3U, 5U}) {
    test::run_ranks(
        count,
        [&](auto& ranks) {
          const index_range mine = part_of_rank(prompts.size(), ranks);
          const auto rollouts = collected(std::span(prompts).subspan(mine.begin, mine.size()));
          if (!same(gather_rollouts(rollouts, ranks), whole)) throw error("a rank has other rollouts");
        },
        3);
  }
}

TEST_CASE("a rank's prompts are collected share by share") {
  small_world world;
  struct counting_reward {
    std::vector<std::size_t> sizes{};
    std::vector<double> operator()(std::span<const reward_query> queries) {
      sizes.push_back(queries.size());
      return small_world::reward(queries);
    }
  } reward;
  const auto prompts = some_prompts(7);
  test::thread_ranks one(1, 3);
  test::thread_ranks::communicator ranks(one, 0);
  ppo_statistics statistics;
  const ppo_models models{world.policy,    world.initial, world.value, reward, world.optimizer,
                          world.optimizer, decoder,       no_bonus,    ranks};
  const auto rollouts = detail::collect_shares(models, prompts, small_world::options(), 0, statistics);
  CHECK(reward.sizes == std::vector<std::size_t>{2, 2, 3});
  CHECK(same(rollouts, collected(prompts)));
}
