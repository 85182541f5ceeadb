#include <coho/train/group_relative.hpp>

#include <cmath>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <coho/loss/cispo.hpp>
#include <coho/loss/gspo.hpp>
#include <coho/loss/reinforce.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/group_relative_options.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::small_world;
using trainer_options = group_relative_trainer_options;

namespace {

trainer_options small(trainer_options o = trainer_options::dr_grpo()) {
  o.generation.max_new_tokens = small_world::limit;
  o.group_size = 4;
  o.gradient_norm_clip = 0;
  o.learning_rate = {.peak = 0.1};
  return o;
}

template <class World, class Reward, class Optimizer>
auto models(World& world, Reward& reward, Optimizer& optimizer) {
  return group_relative_models{
      .policy = world.policy, .reference = world.initial, .reward = reward, .optimizer = optimizer};
}

double distance_after_training(trainer_options options) {
  small_world world;
  options.shaping.kl_coefficient = 0.5;
  options.learning_rate = {.peak = 0.3, .kind = schedule_kind::linear, .total_steps = 150};
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), options};
  trainer.run([](std::uint64_t) { return small_world::prompts(64); }, 150);
  return small_world::total_variation(small_world::distribution(world.policy), world.optimum(0.5));
}

struct keep_rollouts {
  trajectory_batch seen{};
  void on_rollouts(const trajectory_batch& rollouts) { seen = rollouts; }
};

double largest_difference(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) { return (a - b).cwiseAbs().maxCoeff(); }

}  // namespace

TEST_CASE("group-relative baselines without scaling reach pi_init * exp(r / beta)") {
  CHECK(distance_after_training(small()) <= 0.02);
  CHECK(distance_after_training(small(trainer_options::rloo())) <= 0.02);
}

TEST_CASE("all samples of a prompt are scored under its one draw of principles") {
  small_world world;
  std::vector<std::vector<std::string>> asked;
  auto reward = [&](std::span<const reward_query> queries) {
    for (const auto& query : queries) asked.emplace_back(query.principles.begin(), query.principles.end());
    return small_world::reward(queries);
  };
  auto prompts = small_world::prompts(3);
  prompts[0].principles = {"be concise"};
  prompts[1].principles = {"be honest", "be ethical"};
  group_relative_trainer trainer{models(world, reward, world.optimizer), small()};
  keep_rollouts keep;
  trainer.step(prompts, keep);
  REQUIRE(asked.size() == 12);
  for (std::size_t i = 0; i < asked.size(); ++i) CHECK(asked[i] == prompts[i / 4].principles);
  std::set<std::uint64_t> keys;
  for (const auto& prompt : keep.seen.prompts) keys.insert(prompt.key);
  CHECK(keys.size() == 12);
}

TEST_CASE("the advantages of a step are those of its groups, the same for each token of a response") {
  small_world world;
  auto options = small(trainer_options::grpo());
  options.group_size = 5;
  options.shaping.unfinished_penalty = -1;
  keep_rollouts keep;
  group_relative_trainer{models(world, small_world::reward, world.optimizer), options}.step(small_world::prompts(3),
                                                                                            keep);
  const auto& r = keep.seen;
  REQUIRE(r.size() == 15);
  Eigen::ArrayXd rewards = r.sequence_rewards;
  for (Eigen::Index i = 0; i < 15; ++i) rewards(i) -= r.finished[static_cast<std::size_t>(i)] ? 0 : 1;
  const Eigen::ArrayXd expected = group_relative(rewards, std::vector<std::size_t>{0, 5, 10, 15});
  CHECK((r.advantages - sequence_spread(expected, r.batch.responses.offsets)).abs().maxCoeff() < 1e-12);
}

TEST_CASE("groups whose rewards are all equal are counted, and left out when asked") {
  small_world world;
  std::size_t call = 0;
  // The first of two groups has equal rewards.
  auto reward = [&](std::span<const reward_query> queries) {
    std::vector<double> out;
    for (std::size_t i = 0; i < queries.size(); ++i) out.push_back(i < 4 ? 1.0 : static_cast<double>(i));
    ++call;
    return out;
  };
  auto options = small(trainer_options::dapo());
  options.group_size = 4;
  options.epochs = 1;
  struct count_sequences {
    double sequences = 0;
    void on_minibatch(const minibatch_statistics& m) { sequences += m.sequences; }
  } count;
  group_relative_trainer trainer{models(world, reward, world.optimizer), options};
  CHECK(trainer.step(small_world::prompts(2), count).uniform_groups == 0.5);
  CHECK(count.sequences == 4);

  auto constant = [](std::span<const reward_query> queries) { return std::vector<double>(queries.size(), 2.0); };
  const Eigen::MatrixXd before = world.policy.logits;
  group_relative_trainer idle{models(world, constant, world.optimizer), options};
  const auto statistics = idle.step(small_world::prompts(2));
  CHECK(statistics.uniform_groups == 1);
  CHECK(statistics.optimizer_steps == 0);
  CHECK(largest_difference(before, world.policy.logits) == 0);
}

TEST_CASE("micro-batches and ranks do not change a group-relative step") {
  const auto after = [](std::size_t ranks_count, batch_limits limits) {
    Eigen::MatrixXd out;
    test::run_ranks(ranks_count, [&](auto& ranks) {
      small_world world;
      auto options = small(trainer_options::dapo());
      options.group_size = 3;
      options.minibatch_size = 8;
      options.micro_batch = limits;
      options.scaling.scale = group_scale::batch_deviation;
      options.whiten_advantages = true;
      options.kl_loss_coefficient = 0.1;
      group_relative_trainer trainer{group_relative_models{.policy = world.policy,
                                                           .reference = world.initial,
                                                           .reward = small_world::reward,
                                                           .optimizer = world.optimizer,
                                                           .ranks = ranks},
                                     options};
      const std::size_t share = 12 / ranks.size();
      for (int step = 0; step < 3; ++step) trainer.step(small_world::prompts(share, ranks.rank() * share));
      if (ranks.rank() == 0) out = world.policy.logits;
    });
    return out;
  };
  const Eigen::MatrixXd whole = after(1, {});
  CHECK(largest_difference(whole, small_world{}.policy.logits) > 0.01);
  CHECK(largest_difference(whole, after(1, {.sequences = 2})) < 1e-12);
  CHECK(largest_difference(whole, after(3, {.tokens = 5})) < 1e-12);
}

TEST_CASE("mistake 11: a resumed group-relative run equals an uninterrupted one") {
  auto options = small();
  options.adaptive_kl = adaptive_kl_options{.initial = 0.2, .target = 0.05, .horizon = 100};
  const auto source = [](std::uint64_t step) { return small_world::prompts(8, 100 * step); };
  small_world whole, cut;
  toy::sgd optimizer{whole.policy}, cut_optimizer{cut.policy};
  group_relative_trainer trainer{models(whole, small_world::reward, optimizer), options};
  trainer.run(source, 6);
  group_relative_trainer first{models(cut, small_world::reward, cut_optimizer), options};
  first.run(source, 2);
  group_relative_trainer second{models(cut, small_world::reward, cut_optimizer), options};
  second.restore(first.save());
  CHECK(second.run(source, 6).size() == 4);
  CHECK(largest_difference(whole.policy.logits, cut.policy.logits) == 0);
  CHECK(trainer.save() == second.save());
  options.seed = 9;
  group_relative_trainer other{models(cut, small_world::reward, cut_optimizer), options};
  CHECK_THROWS_WITH(other.restore(first.save()), ContainsSubstring("had the seed 0"));
}

TEMPLATE_TEST_CASE("other policy losses take the place of the clipped one", "", gspo_loss, cispo_loss, reinforce_loss) {
  small_world world;
  auto options = small();
  options.learning_rate.peak = 0.3;
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), options,
                                 group_relative_components{.policy_loss = TestType{}}};
  const auto history = trainer.run([](std::uint64_t) { return small_world::prompts(64); }, 20);
  CHECK(history.back().reward_mean > history.front().reward_mean + 0.3);
}

TEST_CASE("a caller's own group advantage takes the place of the options'") {
  small_world world;
  keep_rollouts keep;
  const auto raw = [](const Eigen::ArrayXd& rewards, std::span<const std::size_t>) { return rewards; };
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), small(),
                                 group_relative_components{.advantage = raw}};
  trainer.step(small_world::prompts(2), keep);
  CHECK((keep.seen.advantages - sequence_spread(keep.seen.sequence_rewards, keep.seen.batch.responses.offsets))
            .abs()
            .maxCoeff() < 1e-12);
  const auto broken = [](const Eigen::ArrayXd& rewards, std::span<const std::size_t>) {
    return Eigen::ArrayXd(rewards * std::nan(""));
  };
  group_relative_trainer unusable{models(world, small_world::reward, world.optimizer), small(),
                                  group_relative_components{.advantage = broken}};
  CHECK_THROWS_WITH(unusable.step(small_world::prompts(2)), ContainsSubstring("not finite"));
}

TEST_CASE("unusable group-relative options are refused by name") {
  const auto refuse = [](auto change, const char* name) {
    auto options = small();
    change(options);
    small_world world;
    CHECK_THROWS_WITH((group_relative_trainer{models(world, small_world::reward, world.optimizer), options}),
                      ContainsSubstring(name));
  };
  refuse([](auto& o) { o.group_size = 1; }, "group_size = 1");
  refuse([](auto& o) { o.scaling.epsilon = 0; }, "scaling.epsilon");
  refuse([](auto& o) { o.kl_loss_coefficient = -1; }, "kl_loss_coefficient");
  refuse([](auto& o) { o.policy_clip.clip_low = 2; }, "clip_low");
  refuse(
      [](auto& o) {
        o.baseline = group_baseline::leave_one_out;
        o.scaling.scale = group_scale::batch_deviation;
      },
      "scaling.scale");
  CHECK_NOTHROW(trainer_options::grpo().validate());
  CHECK_NOTHROW(trainer_options::dapo().validate());
}
