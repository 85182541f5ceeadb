#include <coho/train/steps/collect_rollouts.hpp>
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

template <class Models>
trajectory_batch collected(const Models& models, std::span<const rl_prompt> prompts) {
  ppo_statistics statistics;
  return detail::evaluate_by_shards(prompts.size(), models.ranks, [&](std::size_t begin, std::size_t end) {
    return collect_rollouts(models, prompts.subspan(begin, end - begin), small_world::options(), 0, statistics);
  });
}

trajectory_batch collected(std::span<const rl_prompt> prompts) {
  small_world world;
  return collected(ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer,
                              world.optimizer, decoder},
                   prompts);
}

// Every member, those of prompts and breakdowns included.
struct equal_fields {
  bool& all;
  template <class T>
  void operator()(const T& a, const T& b) const {
    if constexpr (coho::detail::with_fields<const T>) {
      for_each_field(a, b, *this);
    } else {
      all = all && a == b;
    }
  }
  template <class T>
  void operator()(const std::vector<T>& a, const std::vector<T>& b) const {
    all = all && a.size() == b.size();
    for (std::size_t i = 0; all && i < a.size(); ++i) (*this)(a[i], b[i]);
  }
  void operator()(const token_batch& a, const token_batch& b) const {
    all = all && a.prompts == b.prompts && a.responses == b.responses;
  }
  void operator()(const Eigen::ArrayXd& a, const Eigen::ArrayXd& b) const {
    all = all && a.size() == b.size() && (a == b).all();
  }
};

bool same(const trajectory_batch& a, const trajectory_batch& b) {
  bool all = true;
  for_each_field(a, b, equal_fields{all});
  return all;
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
          const index_range mine = range_of_rank(prompts.size(), ranks);
          const auto rollouts = collected(std::span(prompts).subspan(mine.begin, mine.size()));
          if (!same(gather_rollouts(rollouts, ranks), whole)) throw error("a rank has other rollouts");
        },
        3);
  }
}

TEST_CASE("every member of every rank's rollouts arrives") {
  const auto prompts = some_prompts(2);
  const auto filled = [&](std::size_t i) {
    trajectory_batch out = collected(std::span(prompts).subspan(i, 1));
    out.breakdowns[0] = {.score = 1, .bonus = {{"length", 2.5}}, .empty = -1, .unfinished = static_cast<double>(i)};
    out.rewards = out.advantages = out.returns = out.old_log_probs * 2;
    out.shaped_reward_sum = 0.5 + static_cast<double>(i);
    return out;
  };
  trajectory_batch both = filled(0);
  const trajectory_batch second = filled(1);
  for_each_field(both, second, coho::detail::append_field{});
  CHECK(both.size() == 2);
  CHECK(both.breakdowns[1].unfinished == 1);
  CHECK(both.shaped_reward_sum == 2);
  CHECK_FALSE(same(filled(0), filled(1)));
  test::run_ranks(2, [&](auto& ranks) {
    if (!same(gather_rollouts(filled(static_cast<std::size_t>(ranks.rank())), ranks), both))
      throw error("a rank has other rollouts");
  });
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
  const ppo_models models{world.policy,    world.initial, world.value, reward, world.optimizer,
                          world.optimizer, decoder,       no_bonus,    ranks};
  const auto rollouts = collected(models, prompts);
  CHECK(reward.sizes == std::vector<std::size_t>{2, 2, 3});
  CHECK(same(rollouts, collected(prompts)));
}
