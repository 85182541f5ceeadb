#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <coho/loss/cispo.hpp>
#include <coho/loss/gspo.hpp>
#include <coho/loss/reinforce.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/group_relative.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::keep_rollouts, coho::test::largest_difference, coho::test::small_world;
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
  return group_relative_models{world.policy, world.initial, reward, optimizer};
}

double distance_after_training(trainer_options options) {
  small_world world;
  options.shaping.kl_coefficient = 0.5;
  options.learning_rate = {.peak = 0.3, .kind = schedule_kind::linear, .total_steps = 150};
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), options};
  trainer.run([](std::uint64_t) { return small_world::prompts(64); }, 150);
  return small_world::total_variation(small_world::distribution(world.policy), world.optimum(0.5));
}

/// The world's policy, whose sampler records log-probabilities that are off by up to 0.6, each token differently.
struct disagreeing_policy {
  toy::tabular_policy& inner;

  auto log_probs(const token_batch& batch) { return inner.log_probs(batch); }
  auto forward(const token_batch& batch) { return inner.forward(batch); }
  generation generate(const packed<token>& prompts, const generation_options& options, std::span<rng> streams) {
    auto out = inner.generate(prompts, options, streams);
    for (std::size_t t = 0; t < out.log_probs.values.size(); ++t) {
      out.log_probs.values[t] += 0.6F * std::sin(static_cast<float>(3 * t + 1));
    }
    return out;
  }
  void zero_gradients() { inner.zero_gradients(); }
  auto gradients() { return inner.gradients(); }
};

/// The rollouts of a first step.
template <class Policy>
trajectory_batch first_rollouts(small_world& world, Policy& policy, const trainer_options& options) {
  keep_rollouts keep;
  group_relative_trainer trainer{group_relative_models{policy, world.initial, small_world::reward, world.optimizer},
                                 options};
  trainer.step(small_world::prompts(6), keep);
  return keep.seen;
}

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

TEST_CASE("the leave-one-out baseline of a group-relative trainer has its own options") {
  auto options = small(trainer_options::rloo());
  options.group_size = 5;
  options.shaping.kl_coefficient = 0;
  auto mixed = options;
  mixed.scaling = {.scale = group_scale::batch_deviation, .epsilon = 7};  // the other baseline's
  CHECK_THROWS_WITH(mixed.validate(), Catch::Matchers::ContainsSubstring("scaling"));
  small_world world, scaled_world;
  const auto plain = first_rollouts(world, world.policy, options);
  options.leave_one_out = {.scale = true, .deviation = deviation::population, .epsilon = 0.125};
  const auto scaled = first_rollouts(scaled_world, scaled_world.policy, options);
  const auto& offsets = plain.batch.responses.offsets;
  const Eigen::ArrayXd& r = plain.sequence_rewards;
  for (Eigen::Index i = 0; i < r.size(); ++i) {
    Eigen::ArrayXd others(4);
    for (Eigen::Index k = i / 5 * 5, to = 0; k < i / 5 * 5 + 5; ++k) {
      if (k != i) others(to++) = r(k);
    }
    const double advantage = r(i) - others.mean(), spread = std::sqrt((others - others.mean()).square().mean());
    const auto first = static_cast<Eigen::Index>(offsets[static_cast<std::size_t>(i)]);
    CHECK(plain.advantages(first) == Approx(advantage).margin(1e-12));
    // Others that are all equal have no scale.
    CHECK(scaled.advantages(first) == Approx(spread > 0 ? advantage / (spread + 0.125) : advantage).margin(1e-12));
  }
}

TEST_CASE("whitened group advantages have the mean 0 and the deviation 1 over all tokens of the step") {
  small_world world;
  auto options = small();
  const auto plain = first_rollouts(world, world.policy, options);
  options.whiten_advantages = true;
  options.advantage_whitening.epsilon = 0.25;
  small_world again;
  const auto seen = first_rollouts(again, again.policy, options);
  const Eigen::ArrayXd& a = plain.advantages;
  // Responses of different lengths: the mean over tokens is not the mean over responses, which is 0.
  REQUIRE(std::abs(a.mean()) > 0.01);
  const double deviation = std::sqrt((a - a.mean()).square().mean());
  REQUIRE(seen.advantages.size() == a.size());
  CHECK((seen.advantages - (a - a.mean()) / (deviation + 0.25)).abs().maxCoeff() < 1e-12);
}

TEST_CASE("group advantages are weighted for a sampler that disagrees, after whitening") {
  for (const bool whitened : {false, true}) {
    auto options = small();
    options.whiten_advantages = whitened;
    small_world world;
    disagreeing_policy policy{world.policy};
    const auto plain = first_rollouts(world, policy, options);
    small_world again;
    disagreeing_policy same{again.policy};
    options.sampler_correction = importance_weights_options{.high = 1.4};
    const auto seen = first_rollouts(again, same, options);
    REQUIRE(seen.batch.responses.values == plain.batch.responses.values);
    std::size_t limited = 0, below = 0;
    for (Eigen::Index t = 0; t < seen.advantages.size(); ++t) {
      const double ratio = std::exp(seen.old_log_probs(t) - seen.recorded_log_probs(t));
      limited += ratio > 1.4 ? 1 : 0;
      below += ratio < 0.9 ? 1 : 0;
      CHECK(seen.advantages(t) == Approx(plain.advantages(t) * std::min(ratio, 1.4)).margin(1e-12));
    }
    CHECK(limited > 2);
    CHECK(below > 2);
  }
}

TEST_CASE("the adaptive KL coefficient of a group-relative run follows the KL of its rollouts") {
  small_world world;
  auto options = small();
  options.learning_rate.peak = 0.3;
  options.adaptive_kl = adaptive_kl_options{.initial = 0.3, .target = 0.1, .horizon = 100, .error_limit = 0.5};
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), options};
  double coefficient = 0.3, most = 0;
  for (std::uint64_t step = 0; step < 4; ++step) {
    keep_rollouts keep;
    const auto statistics = trainer.step(small_world::prompts(8, 100 * step), keep);
    CHECK(statistics.kl_coefficient == Approx(coefficient).epsilon(1e-12));
    // The reward has that penalty.
    const auto& r = keep.seen;
    const Eigen::ArrayXd kl =
        sequence_sums(Eigen::ArrayXd(r.old_log_probs - r.reference_log_probs), r.batch.responses.offsets);
    const Eigen::ArrayXd rewards = sequence_sums(r.rewards, r.batch.responses.offsets);
    CHECK((rewards - (r.sequence_rewards - coefficient * kl)).abs().maxCoeff() < 1e-12);
    most = std::max(most, kl.abs().maxCoeff());
    // 32 responses of a horizon of 100, and the error limited to 0.5.
    const double error = std::min(std::max(kl.mean() / 0.1 - 1, -0.5), 0.5);
    coefficient *= 1 + error * 32 / 100;
  }
  CHECK(most > 0.1);
  CHECK(trainer.save().kl.coefficient == Approx(coefficient).epsilon(1e-12));
  CHECK(std::abs(coefficient - 0.3 * std::pow(0.84, 4)) > 0.02);  // the error was not at its lower limit throughout
}

TEST_CASE("a caller's own KL controller sets the penalty of a group-relative run") {
  struct halving_controller {
    double now = 0.8;
    double coefficient() const { return now; }
    void update(double, double) { now /= 2; }
    kl_controller_state save() const { return {now}; }
    void restore(const kl_controller_state& saved) { now = saved.coefficient; }
  };
  small_world world;
  const group_relative_components components{from_options{}, from_options{}, halving_controller{}};
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), small(), components};
  const auto history = trainer.run([](std::uint64_t) { return small_world::prompts(4); }, 3);
  CHECK(history[0].kl_coefficient == 0.8);
  CHECK(history[2].kl_coefficient == 0.2);
  CHECK(history[2].shaped_reward_mean == Approx(history[2].reward_mean - 0.2 * history[2].kl_sequence));
  CHECK(trainer.save().kl.coefficient == 0.1);
  group_relative_trainer resumed{models(world, small_world::reward, world.optimizer), small(), components};
  resumed.restore(trainer.save());
  CHECK(resumed.kl_coefficient() == 0.1);
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
      group_relative_trainer trainer{group_relative_models{world.policy, world.initial, small_world::reward,
                                                           world.optimizer, no_decoder, no_bonus, ranks},
                                     options};
      const std::size_t shard = 12 / ranks.size();
      for (int step = 0; step < 3; ++step) trainer.step(small_world::prompts(shard, ranks.rank() * shard));
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
  CHECK_THROWS_WITH(other.restore(first.save()), ContainsSubstring("it must be 0, as in the saved run"));
}

TEMPLATE_TEST_CASE("other policy losses take the place of the clipped one", "", gspo_loss, cispo_loss, reinforce_loss) {
  small_world world;
  auto options = small();
  options.learning_rate.peak = 0.3;
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), options,
                                 group_relative_components{TestType{}}};
  const auto history = trainer.run([](std::uint64_t) { return small_world::prompts(64); }, 20);
  CHECK(history.back().reward_mean > history.front().reward_mean + 0.3);
}

TEST_CASE("a caller's own group advantage takes the place of the options'") {
  small_world world;
  keep_rollouts keep;
  const auto raw = [](const Eigen::ArrayXd& rewards, std::span<const std::size_t>) { return rewards; };
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), small(),
                                 group_relative_components{from_options{}, raw}};
  trainer.step(small_world::prompts(2), keep);
  CHECK((keep.seen.advantages - sequence_spread(keep.seen.sequence_rewards, keep.seen.batch.responses.offsets))
            .abs()
            .maxCoeff() < 1e-12);
  const auto broken = [](const Eigen::ArrayXd& rewards, std::span<const std::size_t>) {
    return Eigen::ArrayXd(rewards * std::nan(""));
  };
  group_relative_trainer unusable{models(world, small_world::reward, world.optimizer), small(),
                                  group_relative_components{from_options{}, broken}};
  CHECK_THROWS_WITH(unusable.step(small_world::prompts(2)), ContainsSubstring("not finite"));
}

TEST_CASE("keys that are hashes of 64 bits give each sample a key of its own") {
  small_world world;
  auto options = small();
  options.group_size = 8;
  group_relative_trainer trainer{models(world, small_world::reward, world.optimizer), options};
  auto prompts = small_world::prompts(3);
  prompts[1].key = std::uint64_t{1} << 61;  // times 8: 0 again
  prompts[2].key = std::numeric_limits<std::uint64_t>::max();
  CHECK_NOTHROW(trainer.step(prompts));
}
