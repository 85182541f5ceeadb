#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/train/group_relative.hpp>
#include <coho/train/ppo.hpp>
#include <coho/train/steps/on_policy_driver.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::keep_rollouts, coho::test::small_world;

namespace {

ppo_options options_of_runs() {
  auto options = small_world::options();
  options.minibatch_size = 5;
  options.epochs = 2;
  options.normalization = {.mean = 0.1, .deviation = 0.5};
  options.shaping.kl_coefficient = 0.2;
  options.adaptive_kl = adaptive_kl_options{.initial = 0.2, .target = 0.05, .horizon = 100};
  return options;
}

/// What three steps make of a world: `step(trainer, world, prompts)` makes one.
template <class Step>
std::pair<Eigen::MatrixXd, std::vector<ppo_statistics>> three_steps(Step step) {
  small_world world;
  auto trainer = world.trainer(options_of_runs());
  std::vector<ppo_statistics> history;
  for (std::uint64_t i = 0; i < 3; ++i) history.push_back(step(trainer, world, small_world::prompts(12)));
  return {world.policy.logits, history};
}

template <class Trainer>
sampled_rollouts sampled_for(const Trainer& trainer, small_world& world, const std::vector<rl_prompt>& prompts) {
  return sample_rollouts(world.policy, prompts, trainer.options().generation, trainer.options().seed,
                         trainer.save().step);
}

void check_same(const std::vector<ppo_statistics>& a, const std::vector<ppo_statistics>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].step == b[i].step);
    CHECK(a[i].reward_mean == b[i].reward_mean);
    CHECK(a[i].score_mean == b[i].score_mean);
    CHECK(a[i].kl_sequence == b[i].kl_sequence);
    CHECK(a[i].kl_coefficient == b[i].kl_coefficient);
    CHECK(a[i].unfinished == b[i].unfinished);
    CHECK(a[i].policy_loss == b[i].policy_loss);
    CHECK(a[i].value_loss == b[i].value_loss);
    CHECK(a[i].gradient_norm == b[i].gradient_norm);
  }
}

/// The part of a policy that is scored and trained; it cannot sample.
struct scoring_policy {
  toy::tabular_policy& inner;
  auto log_probs(const token_batch& batch) { return inner.log_probs(batch); }
  auto forward(const token_batch& batch) { return inner.forward(batch); }
  void zero_gradients() { inner.zero_gradients(); }
  auto gradients() { return inner.gradients(); }
};

/// The other part, without log-probabilities where `silent`.
struct engine {
  toy::tabular_policy& inner;
  bool silent = false;
  generation generate(const packed<token>& prompts, const generation_options& options, std::span<rng> streams) {
    auto out = inner.generate(prompts, options, streams);
    if (silent) out.log_probs = {};
    return out;
  }
};

}  // namespace

TEST_CASE("a step is an update with what the policy samples") {
  const auto [stepped, history] =
      three_steps([](auto& trainer, small_world&, const auto& prompts) { return trainer.step(prompts); });
  const auto [updated, updates] = three_steps([](auto& trainer, small_world& world, const auto& prompts) {
    return trainer.update(sampled_for(trainer, world, prompts));
  });
  CHECK((stepped.array() == updated.array()).all());
  check_same(history, updates);
  CHECK(updates[0].sampler_difference_max < 1e-6);
  CHECK(updates[0].sampler_difference_max == history[0].sampler_difference_max);
  CHECK(test::largest_difference(stepped, small_world().policy.logits) > 0.01);
}

TEST_CASE("without log-probabilities of the sampler only its statistics are missing") {
  const auto [stepped, history] =
      three_steps([](auto& trainer, small_world&, const auto& prompts) { return trainer.step(prompts); });
  const auto [updated, updates] = three_steps([](auto& trainer, small_world& world, const auto& prompts) {
    auto rollouts = sampled_for(trainer, world, prompts);
    rollouts.log_probs.clear();
    keep_rollouts keep;
    const auto statistics = trainer.update(rollouts, keep);
    CHECK(keep.seen.recorded_log_probs.size() == 0);
    CHECK(keep.seen.old_log_probs.size() > 0);
    return statistics;
  });
  CHECK((stepped.array() == updated.array()).all());
  check_same(history, updates);
  CHECK(std::isnan(updates[0].sampler_difference_mean));
  CHECK(std::isnan(updates[0].sampler_difference_max));
}

TEST_CASE("where log-probabilities of the sampler are needed, rollouts without them are refused") {
  const auto message = [](auto change) {
    small_world world;
    auto options = options_of_runs();
    change(options);
    auto trainer = world.trainer(options);
    auto rollouts = sampled_for(trainer, world, small_world::prompts(4));
    rollouts.log_probs.clear();
    try {
      trainer.update(rollouts);
    } catch (const argument_error& problem) {
      CHECK(trainer.save().step == 0);
      return std::string(problem.what());
    }
    return std::string("taken");
  };
  CHECK_THAT(message([](auto& o) { o.old_log_probs = old_log_prob_source::recorded; }),
             ContainsSubstring("no log_probs of their sampler, but old_log_probs is recorded"));
  CHECK_THAT(message([](auto& o) { o.sampler_correction.emplace(); }),
             ContainsSubstring("which sampler_correction needs"));
}

TEST_CASE("known scores take the place of the reward model") {
  const auto [stepped, history] =
      three_steps([](auto& trainer, small_world&, const auto& prompts) { return trainer.step(prompts); });
  small_world world;
  ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, no_reward, world.optimizer},
                      options_of_runs()};
  std::vector<ppo_statistics> updates;
  for (int i = 0; i < 3; ++i) {
    auto rollouts = sampled_for(trainer, world, small_world::prompts(12));
    CHECK_THROWS_WITH(trainer.update(rollouts), ContainsSubstring("no scores, and there is no reward model"));
    for (std::size_t k = 0; k < rollouts.size(); ++k)
      rollouts.scores.push_back(small_world::reward_of(rollouts.responses[k]));
    updates.push_back(trainer.update(rollouts));
  }
  CHECK((stepped.array() == world.policy.logits.array()).all());
  check_same(history, updates);

  // A reward model that is there is not asked.
  const auto never = [](std::span<const reward_query>) -> std::vector<double> { throw error("asked"); };
  ppo_trainer other{ppo_models{world.policy, world.initial, world.value, never, world.optimizer}, options_of_runs()};
  auto rollouts = sampled_for(other, world, small_world::prompts(4));
  CHECK_THROWS_WITH(other.update(rollouts), "asked");
  rollouts.scores = {1, 2, 3, 4};
  CHECK(other.update(rollouts).score_mean == 2.5);
}

TEST_CASE("texts that come with the rollouts are what the reward model reads") {
  small_world world;
  std::vector<std::string> seen;
  const auto reward = [&](std::span<const reward_query> queries) {
    for (const auto& query : queries) seen.emplace_back(query.response);
    return std::vector<double>(queries.size());
  };
  ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, reward, world.optimizer}, options_of_runs()};
  auto rollouts = sampled_for(trainer, world, small_world::prompts(3));
  rollouts.texts = {"one", " ", "three"};
  CHECK(trainer.update(rollouts).empty == Approx(1.0 / 3));
  CHECK(seen == rollouts.texts);
}

TEST_CASE("a sampler answers the prompts for a policy that cannot") {
  const auto [stepped, history] =
      three_steps([](auto& trainer, small_world&, const auto& prompts) { return trainer.step(prompts); });
  for (const bool silent : {false, true}) {
    small_world world;
    scoring_policy policy{world.policy};
    engine sampler{world.policy, silent};
    ppo_trainer trainer{ppo_models{policy, world.initial, world.value, small_world::reward, world.optimizer,
                                   world.optimizer, no_decoder, no_bonus, local, sampler},
                        options_of_runs()};
    std::vector<ppo_statistics> steps;
    for (int i = 0; i < 3; ++i) steps.push_back(trainer.step(small_world::prompts(12)));
    CHECK((stepped.array() == world.policy.logits.array()).all());
    check_same(history, steps);
    CHECK(std::isnan(steps[0].sampler_difference_mean) == silent);
  }
}

TEST_CASE("an update over several ranks is that of one") {
  const auto run = [](std::size_t count, std::size_t shards, bool recorded) {
    Eigen::MatrixXd out;
    ppo_statistics statistics;
    test::run_ranks(
        count,
        [&](auto& ranks) {
          small_world world;
          auto options = options_of_runs();
          options.micro_batch.tokens = 6;
          ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer,
                                         world.optimizer, no_decoder, no_bonus, ranks},
                              options};
          auto rollouts = sampled_for(trainer, world, small_world::prompts(23));
          if (!recorded) rollouts.log_probs.clear();
          const index_range mine = range_of_rank(rollouts.size(), ranks);
          const auto made = trainer.update(rollouts.slice(mine.begin, mine.end));
          if (ranks.rank() == 0) {
            out = world.policy.logits;
            statistics = made;
          }
        },
        shards);
    return std::pair{out, statistics};
  };
  const auto [one, of_one] = run(1, 4, true);
  const auto [four, of_four] = run(4, 4, true);
  CHECK((one.array() == four.array()).all());
  CHECK(of_one.sequences == 23);
  check_same({of_one}, {of_four});
  const auto [silent, of_silent] = run(3, 4, false);
  CHECK(test::largest_difference(one, silent) < 1e-13);
  CHECK(std::isnan(of_silent.sampler_difference_max));
}

TEST_CASE("log-probabilities that only some ranks have are refused on all") {
  test::run_ranks(2, [](auto& ranks) {
    small_world world;
    ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer,
                                   world.optimizer, no_decoder, no_bonus, ranks},
                        options_of_runs()};
    auto rollouts = sampled_for(trainer, world, small_world::prompts(4, 10 * ranks.rank()));
    if (ranks.rank() == 1) rollouts.log_probs.clear();
    try {
      trainer.update(rollouts);
    } catch (const argument_error& problem) {
      if (std::string(problem.what()).find("those of others have none") != std::string::npos) return;
    }
    throw error("mixed rollouts were taken");
  });
}

TEST_CASE("group-relative updates are steps too, and groups must be whole") {
  auto options = group_relative_trainer_options::dr_grpo();
  options.generation.max_new_tokens = small_world::limit;
  options.group_size = 4;
  options.learning_rate = {.peak = 0.1};
  const auto prompts = small_world::prompts(3);
  small_world stepped, updated;
  group_relative_trainer by_steps{
      group_relative_models{stepped.policy, stepped.initial, small_world::reward, stepped.optimizer}, options};
  group_relative_trainer by_updates{
      group_relative_models{updated.policy, updated.initial, small_world::reward, updated.optimizer}, options};
  std::vector<rl_prompt> samples;  // sample k of the prompt with the key q has the key q·G + k
  for (const auto& prompt : prompts) {
    for (std::uint64_t k = 0; k < 4; ++k) {
      samples.push_back(prompt);
      samples.back().key = prompt.key * 4 + k;
    }
  }
  for (int i = 0; i < 3; ++i) {
    const auto a = by_steps.step(prompts);
    const auto b = by_updates.update(sampled_for(by_updates, updated, samples));
    check_same({a}, {b});
    CHECK(a.uniform_groups == b.uniform_groups);
  }
  CHECK((stepped.policy.logits.array() == updated.policy.logits.array()).all());

  auto rollouts = sampled_for(by_updates, updated, samples);
  rollouts.prompts[5].tokens = {1, 1};
  CHECK_THROWS_WITH(by_updates.update(rollouts), ContainsSubstring("rollouts 4 and 5 are of one group but not"));
  CHECK_THROWS_WITH(by_updates.update(rollouts.slice(0, 6)), ContainsSubstring("not a multiple of group_size, 4"));
  CHECK_THROWS_WITH(by_updates.update({}), ContainsSubstring("at least one prompt"));
}

TEST_CASE("a group-relative policy may have a sampler of its own") {
  small_world world;
  scoring_policy policy{world.policy};
  engine sampler{world.policy};
  auto options = group_relative_trainer_options::dr_grpo();
  options.generation.max_new_tokens = small_world::limit;
  group_relative_trainer trainer{group_relative_models{policy, world.initial, small_world::reward, world.optimizer,
                                                       no_decoder, no_bonus, local, sampler},
                                 options};
  CHECK(trainer.step(small_world::prompts(2)).sequences == 16);
}
