#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include <coho/toy/sgd.hpp>
#include <coho/train/ppo.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using coho::test::keep_rollouts, coho::test::largest_difference, coho::test::small_world;

namespace {

/// What the only update of one PPO step hands to the optimizer.
struct gradients_of {
  Eigen::MatrixXd policy;
  Eigen::VectorXd value;
  ppo_statistics statistics;
  trajectory_batch rollouts;

  template <class Change>
  explicit gradients_of(Change change) {
    small_world world;
    auto options = small_world::options();
    options.epochs = 1;
    change(options);
    keep_rollouts keep;
    statistics = world.trainer(options).step(small_world::prompts(24), keep);
    policy = world.policy.gradient;
    value = world.value.gradient;
    rollouts = keep.seen;
  }
};

double entropy_after_prompt(const toy::tabular_policy& policy) {
  const std::vector<token> prompt{small_world::prompt};
  const Eigen::ArrayXd p = policy.probabilities(policy.contexts().context_after(prompt));
  return -(p * p.log()).sum();
}

}  // namespace

TEST_CASE("how a minibatch is cut into forwards does not change the step") {
  const auto parameters_after = [](batch_limits limits) {
    small_world world;
    auto options = small_world::options();
    options.minibatch_size = 16;
    options.micro_batch = limits;
    options.scoring_batch = limits;
    options.entropy_coefficient = 0.01;
    options.gradient_norm_clip = 0.5;
    auto trainer = world.trainer(options);
    for (int step = 0; step < 3; ++step) trainer.step(small_world::prompts(48));
    return std::pair{world.policy.logits, world.value.table};
  };
  const auto whole = parameters_after({});
  for (const batch_limits limits : {batch_limits{.sequences = 1}, batch_limits{.sequences = 5},
                                    batch_limits{.tokens = 7}, batch_limits{.sequences = 3, .sort_by_length = true}}) {
    const auto parts = parameters_after(limits);
    CHECK(largest_difference(whole.first, parts.first) < 1e-12);
    CHECK(largest_difference(whole.second, parts.second) < 1e-12);
  }
}

TEST_CASE("the order of the prompts does not change the step") {
  const auto parameters_after = [](bool reversed) {
    small_world world;
    auto options = small_world::options();
    options.minibatch_size = 8;
    auto trainer = world.trainer(options);
    for (int step = 0; step < 3; ++step) {
      auto prompts = small_world::prompts(32);
      if (reversed) std::ranges::reverse(prompts);
      trainer.step(prompts);
    }
    return world.policy.logits;
  };
  CHECK(largest_difference(parameters_after(false), parameters_after(true)) < 1e-12);
}

TEST_CASE("the number of ranks does not change the step") {
  const auto parameters_after = [](std::size_t count) {
    Eigen::MatrixXd out;
    std::vector<ppo_statistics> first;
    test::run_ranks(count, [&](auto& ranks) {
      small_world world;
      auto options = small_world::options();
      options.minibatch_size = 12;
      options.gradient_norm_clip = 0.3;
      ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer,
                                     world.optimizer, no_decoder, no_bonus, ranks},
                          options};
      std::vector<ppo_statistics> history;
      for (int step = 0; step < 3; ++step) {
        const std::size_t shard = 36 / ranks.size();
        history.push_back(trainer.step(small_world::prompts(shard, ranks.rank() * shard)));
      }
      if (ranks.rank() == 0) {
        out = world.policy.logits;
        first = history;
      }
    });
    return std::pair{out, first};
  };
  const auto [one, one_history] = parameters_after(1);
  const auto [three, three_history] = parameters_after(3);
  CHECK(largest_difference(one, three) < 1e-12);
  for (std::size_t i = 0; i < one_history.size(); ++i) {
    CHECK(one_history[i].reward_mean == Approx(three_history[i].reward_mean).epsilon(1e-12));
    CHECK(one_history[i].explained_variance == Approx(three_history[i].explained_variance).epsilon(1e-9));
    CHECK(one_history[i].approximate_kl == Approx(three_history[i].approximate_kl).epsilon(1e-9));
    CHECK(one_history[i].sequences == three_history[i].sequences);
  }
}

TEST_CASE("statistics say what happened") {
  small_world world;
  for (auto& z : world.initial.logits.reshaped()) z *= 0.5;  // so that the KL is not 0
  auto options = small_world::options();
  options.minibatch_size = 8;
  trajectory_batch seen;
  struct {
    trajectory_batch& seen;
    int minibatches = 0;
    void on_rollouts(const trajectory_batch& rollouts) { seen = rollouts; }
    void on_minibatch(const minibatch_statistics& m) { minibatches += m.applied; }
  } callback{seen};
  auto trainer = world.trainer(options);
  const auto s = trainer.step(small_world::prompts(20), callback);

  CHECK(s.sequences == 20);
  CHECK(s.tokens == static_cast<double>(seen.tokens()));
  CHECK(s.optimizer_steps == 6);  // 2 epochs of 8 + 8 + 4
  CHECK(callback.minibatches == 6);
  CHECK(s.length_mean == Approx(static_cast<double>(seen.tokens()) / 20));
  CHECK(s.kl_sequence == Approx((seen.old_log_probs - seen.reference_log_probs).sum() / 20));
  CHECK(s.kl_token * s.tokens == Approx(s.kl_sequence * s.sequences));
  CHECK(s.shaped_reward_mean == Approx(s.reward_mean - 0.5 * s.kl_sequence));
  double cut = 0, score = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    cut += seen.batch.responses[i].back() != 0;
    score += small_world::reward_of(seen.batch.responses[i]) / 20;
  }
  CHECK(s.unfinished == Approx(cut / 20));
  CHECK(s.score_mean == Approx(score));
  const double mean = seen.returns.mean();
  const Eigen::ArrayXd residual = seen.returns - seen.values;
  CHECK(s.explained_variance ==
        Approx(1 - (residual - residual.mean()).square().sum() / (seen.returns - mean).square().sum()).margin(1e-12));
  CHECK(s.entropy > 0);
  CHECK(s.entropy < std::log(3.0));
  CHECK(s.learning_rate == 0.02);
  CHECK(s.gradient_norm > 0);
  CHECK(s.phase_tokens.generation == s.tokens);
  CHECK(s.phase_tokens.update == 2 * (s.tokens + 20));
}

TEST_CASE("an update beyond target_kl is not applied and ends the step") {
  small_world world;
  auto options = small_world::options();
  options.epochs = 50;
  options.learning_rate.peak = 0.2;
  options.target_kl = 0.01;
  std::vector<minibatch_statistics> seen;
  struct {
    std::vector<minibatch_statistics>& seen;
    void on_minibatch(const minibatch_statistics& m) { seen.push_back(m); }
  } callback{seen};
  auto trainer = world.trainer(options);
  const auto s = trainer.step(small_world::prompts(64), callback);
  CHECK(s.stopped_by_kl);
  CHECK(s.optimizer_steps + 1 == seen.size());
  CHECK(seen.size() < 50);
  CHECK_FALSE(seen.back().applied);
  for (std::size_t i = 0; i + 1 < seen.size(); ++i) CHECK(seen[i].approximate_kl <= 0.01);
  CHECK(seen.back().approximate_kl > 0.01);
}

TEST_CASE("the value model warms up alone") {
  small_world world;
  toy::adam policy_optimizer{{}, world.policy};
  toy::adam value_optimizer{{}, world.value};
  auto options = small_world::options();
  options.value_warmup_steps = 2;
  ppo_trainer trainer{
      ppo_models{world.policy, world.initial, world.value, small_world::reward, policy_optimizer, value_optimizer},
      options};
  trainer.step(small_world::prompts(16));
  trainer.step(small_world::prompts(16));
  CHECK(world.policy.logits == world.initial.logits);
  CHECK(world.value.table.cwiseAbs().maxCoeff() > 0);
  trainer.step(small_world::prompts(16));
  CHECK(world.policy.logits != world.initial.logits);
}

TEST_CASE("a warm-up of the value model needs an optimizer of its own") {
  small_world world;
  auto options = small_world::options();
  options.value_warmup_steps = 1;
  CHECK_THROWS_AS(world.trainer(options), option_error);
  CHECK_THROWS_WITH(world.trainer(options), Catch::Matchers::ContainsSubstring("value_warmup_steps"));
  options.value_warmup_steps = 0;
  CHECK_NOTHROW(world.trainer(options));
}

TEST_CASE("an entropy coefficient raises the entropy where there is no advantage") {
  const auto step = [](double coefficient, small_world& world) {
    auto options = small_world::options();
    options.shaping.kl_coefficient = 0;
    options.whiten_advantages = false;
    options.entropy_coefficient = coefficient;
    const auto no_reward = [](std::span<const reward_query> queries) { return std::vector<double>(queries.size()); };
    keep_rollouts keep;
    world.trainer(no_reward, options).step(small_world::prompts(64), keep);
    CHECK((keep.seen.advantages == 0.0).all());
  };
  small_world idle, pushed;
  const double before = entropy_after_prompt(idle.policy);
  step(0, idle);
  CHECK(entropy_after_prompt(idle.policy) == before);
  step(0.1, pushed);
  CHECK(entropy_after_prompt(pushed.policy) > before + 1e-4);
}

TEST_CASE("the value coefficient scales the value gradient, and that alone") {
  const gradients_of one([](auto& o) { o.value_coefficient = 1; }), three([](auto& o) { o.value_coefficient = 3; });
  REQUIRE(one.value.norm() > 0.01);
  CHECK(three.value.isApprox(3 * one.value, 1e-12));
  CHECK(three.policy == one.policy);
  // At V = 0 the gradient of ½ (V − R)² is −R, averaged over the tokens; all first tokens share the prompt's context.
  small_world world;
  const std::vector<token> prompt{small_world::prompt};
  double expected = 0;
  for (std::size_t i = 0; i < one.rollouts.size(); ++i) {
    expected -= one.rollouts.returns(static_cast<Eigen::Index>(one.rollouts.batch.responses.offsets[i]));
  }
  CHECK(one.value(static_cast<Eigen::Index>(world.policy.contexts().context_after(prompt))) ==
        Approx(expected / static_cast<double>(one.rollouts.tokens())));
}

TEST_CASE("gradients are clipped jointly or each model's alone") {
  const gradients_of raw([](auto&) {});
  const double clip = 0.5 * std::min(raw.policy.norm(), raw.value.norm());
  REQUIRE(clip > 0);
  const gradients_of joint([&](auto& o) { o.gradient_norm_clip = clip; });
  const gradients_of separate([&](auto& o) {
    o.gradient_norm_clip = clip;
    o.joint_gradient_norm = false;
  });
  CHECK(separate.policy.norm() == Approx(clip));
  CHECK(separate.value.norm() == Approx(clip));
  CHECK(std::hypot(joint.policy.norm(), joint.value.norm()) == Approx(clip));
  CHECK(joint.policy.norm() / joint.value.norm() == Approx(raw.policy.norm() / raw.value.norm()));
  // What is reported is the norm before clipping.
  for (const auto* g : {&raw, &joint, &separate}) {
    CHECK(g->statistics.gradient_norm == Approx(std::hypot(raw.policy.norm(), raw.value.norm())));
  }
}

TEST_CASE("the learning-rate factor scales the step of the value model's own optimizer") {
  const auto after = [](double factor) {
    small_world world;
    toy::sgd policy_optimizer{world.policy};
    toy::sgd value_optimizer{world.value};
    auto options = small_world::options();
    options.epochs = 1;
    options.value_learning_rate_factor = factor;
    ppo_trainer trainer{
        ppo_models{world.policy, world.initial, world.value, small_world::reward, policy_optimizer, value_optimizer},
        options};
    trainer.step(small_world::prompts(16));
    CHECK(world.value.table.isApprox(-0.02 * factor * world.value.gradient, 1e-12));
    return std::pair{world.policy.logits, world.value.table};
  };
  const auto one = after(1), five = after(5);
  REQUIRE(one.second.norm() > 0);
  CHECK(five.second.isApprox(5 * one.second, 1e-12));
  CHECK(five.first == one.first);
}

TEST_CASE("the adaptive controller follows the KL and is kept by save and restore") {
  small_world world;
  auto options = small_world::options();
  options.shaping.kl_coefficient = 0.3;
  options.adaptive_kl = adaptive_kl_options{.initial = 0.3, .target = 5, .horizon = 100};
  auto trainer = world.trainer(options);
  CHECK(trainer.kl_coefficient() == 0.3);
  const auto s = trainer.step(small_world::prompts(10));
  CHECK(s.kl_coefficient == 0.3);
  CHECK(trainer.kl_coefficient() ==
        Approx(0.3 * (1 - 0.2 * 10 / 100)));  // far below the target: the error is limited to −0.2
  auto other = world.trainer(options);
  other.restore(trainer.save());
  CHECK(other.kl_coefficient() == trainer.kl_coefficient());
  auto stranger = options;
  stranger.seed = 1;
  CHECK_THROWS_AS(world.trainer(stranger).restore(trainer.save()), argument_error);
}

TEST_CASE("bonuses and normalisation enter the reward in that order") {
  small_world world;
  auto options = small_world::options();
  options.normalization = {.mean = 1, .deviation = 2, .clip = 0.25};
  const auto bonus = [](const reward_query& query) { return 0.1 * static_cast<double>(query.response_tokens.size()); };
  struct {
    void on_rollouts(const trajectory_batch& r) {
      for (std::size_t i = 0; i < r.size(); ++i) {
        const double score = small_world::reward_of(r.batch.responses[i]);
        const double expected =
            std::clamp((score - 1) / 2, -0.25, 0.25) + 0.1 * static_cast<double>(r.batch.responses.length(i));
        CHECK(r.sequence_rewards(static_cast<Eigen::Index>(i)) == Approx(expected));
      }
    }
  } callback;
  ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer,
                                 world.optimizer, no_decoder, bonus},
                      options};
  trainer.step(small_world::prompts(12), callback);
}

TEST_CASE("prompts and outputs that do not fit are named") {
  small_world world;
  auto trainer = world.trainer(small_world::options());
  CHECK_THROWS_AS(trainer.step({}), argument_error);
  auto twice = small_world::prompts(2);
  twice[1].key = twice[0].key;
  CHECK_THROWS_WITH(trainer.step(twice), Catch::Matchers::ContainsSubstring("same key 0"));

  const auto broken = [](std::span<const reward_query> queries) {
    return std::vector<double>(queries.size(), std::nan(""));
  };
  auto with_nan = world.trainer(broken, small_world::options());
  CHECK_THROWS_WITH(with_nan.step(small_world::prompts(2)), Catch::Matchers::ContainsSubstring("reward model scores"));
  CHECK(with_nan.save().step == 0);
  const auto too_few = [](std::span<const reward_query>) { return std::vector<double>(); };
  auto with_few = world.trainer(too_few, small_world::options());
  CHECK_THROWS_AS(with_few.step(small_world::prompts(2)), argument_error);
}
