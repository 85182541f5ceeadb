#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <coho/train/group_relative.hpp>
#include <coho/train/options/group_relative_trainer_options.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::small_world;
using trainer_options = group_relative_trainer_options;

TEST_CASE("unusable group-relative options are refused by name") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<std::string, std::function<void(trainer_options&)>>> mistakes{
      {"group_size = 1", [](auto& o) { o.group_size = 1; }},
      {"group_size = 0", [](auto& o) { o.group_size = 0; }},
      {"group_size = 1048577", [](auto& o) { o.group_size = (std::size_t{1} << 20) + 1; }},
      {"scaling.epsilon = 0", [](auto& o) { o.scaling.epsilon = 0; }},
      {"scaling.epsilon = nan", [=](auto& o) { o.scaling.epsilon = nan; }},
      {"leave_one_out.epsilon = 0", [](auto& o) { o.leave_one_out.epsilon = 0; }},
      {"leave_one_out.epsilon = inf", [=](auto& o) { o.leave_one_out.epsilon = infinity; }},
      // Of those that PPO has too.
      {"kl_loss_coefficient = -1", [](auto& o) { o.kl_loss_coefficient = -1; }},
      {"shaping.kl_coefficient = -1", [](auto& o) { o.shaping.kl_coefficient = -1; }},
      {"clip_low = 2", [](auto& o) { o.policy_clip.clip_low = 2; }},
      {"generation.top_k = 5", [](auto& o) { o.generation.top_k = 5; }},
      {"epochs = 0", [](auto& o) { o.epochs = 0; }},
  };
  for (const auto& [message, mistake] : mistakes) {
    trainer_options options;
    mistake(options);
    INFO(message);
    CHECK_THROWS_WITH(options.validate(), ContainsSubstring(message));
    CHECK_THROWS_AS(options.validate(), option_error);
    small_world world;
    const group_relative_models models{world.policy, world.initial, small_world::reward, world.optimizer};
    CHECK_THROWS_WITH((group_relative_trainer{models, options}), ContainsSubstring(message));
  }
  trainer_options smallest;
  smallest.group_size = 2;
  CHECK_NOTHROW(smallest.validate());
}

TEST_CASE("the group-relative presets hold the published figures") {
  const auto grpo = trainer_options::grpo(), dr_grpo = trainer_options::dr_grpo(), rloo = trainer_options::rloo(),
             dapo = trainer_options::dapo();
  for (const auto& o : {trainer_options{}, grpo, dr_grpo, rloo, dapo}) CHECK_NOTHROW(o.validate());
  CHECK(grpo.group_size == 64);
  CHECK(grpo.kl_loss_coefficient == 0.04);
  CHECK(grpo.kl_loss.estimator == kl_estimator::k3);
  CHECK(grpo.shaping.kl_coefficient == 0);
  CHECK(grpo.baseline == group_baseline::mean);
  CHECK(grpo.scaling.scale == group_scale::group_deviation);
  CHECK(grpo.reduction.kind == reduction::sequence_mean_of_means);

  CHECK(dr_grpo.scaling.scale == group_scale::none);
  CHECK(dr_grpo.reduction.kind == reduction::fixed_length);
  CHECK(dr_grpo.kl_loss_coefficient == 0);

  CHECK(rloo.baseline == group_baseline::leave_one_out);
  CHECK_FALSE(rloo.leave_one_out.scale);
  CHECK(rloo.shaping.kl_coefficient == 0.03);
  CHECK(rloo.reduction.kind == reduction::sequence_mean_of_sums);
  CHECK(rloo.epochs == 1);

  CHECK(dapo.skip_uniform_groups);
  CHECK(dapo.policy_clip.clip_low == 0.2);
  CHECK(dapo.policy_clip.clip_high == 0.28);
  CHECK(dapo.reduction.kind == reduction::token_mean);
  CHECK(dapo.kl_loss_coefficient == 0);
}

TEST_CASE("PPO's part of group-relative options holds every one of them") {
  trainer_options o;
  o.seed = 3;
  o.generation = {.max_new_tokens = 17, .banned = {4}};
  o.old_log_probs = old_log_prob_source::recorded;
  o.sampler_correction = importance_weights_options{.high = 5};
  o.normalization = {.mean = 1, .deviation = 2};
  o.shaping = {.kl_coefficient = 0.3, .unfinished_penalty = -2};
  o.adaptive_kl = adaptive_kl_options{.target = 3};
  o.whiten_advantages = true;
  o.advantage_whitening.epsilon = 0.25;
  o.minibatch_size = 6;
  o.scope = minibatch_scope::each_rank;
  o.epochs = 5;
  o.policy_clip = {.clip_low = 0.4, .clip_high = 0.6};
  o.kl_loss_coefficient = 0.7;
  o.kl_loss.estimator = kl_estimator::k2;
  o.entropy_coefficient = 0.9;
  o.reduction = {.kind = reduction::fixed_length, .fixed_length = 11};
  o.gradient_norm_clip = 13;
  o.learning_rate.peak = 0.125;
  o.target_kl = 0.5;
  o.scoring_batch.sequences = 19;
  o.micro_batch.tokens = 23;
  const ppo_options shared = o.as_ppo_options();
  CHECK(shared.seed == 3);
  CHECK(shared.generation.max_new_tokens == 17);
  CHECK(shared.generation.banned == std::vector<token>{4});
  CHECK(shared.old_log_probs == old_log_prob_source::recorded);
  REQUIRE(shared.sampler_correction.has_value());
  CHECK(shared.sampler_correction->high == 5);
  CHECK(shared.normalization.mean == 1);
  CHECK(shared.normalization.deviation == 2);
  CHECK(shared.shaping.kl_coefficient == 0.3);
  CHECK(shared.shaping.unfinished_penalty == -2);
  REQUIRE(shared.adaptive_kl.has_value());
  CHECK(shared.adaptive_kl->target == 3);
  CHECK(shared.whiten_advantages);
  CHECK(shared.advantage_whitening.epsilon == 0.25);
  CHECK(shared.minibatch_size == 6);
  CHECK(shared.scope == minibatch_scope::each_rank);
  CHECK(shared.epochs == 5);
  CHECK(shared.policy_clip.clip_low == 0.4);
  CHECK(shared.policy_clip.clip_high == 0.6);
  CHECK(shared.kl_loss_coefficient == 0.7);
  CHECK(shared.kl_loss.estimator == kl_estimator::k2);
  CHECK(shared.entropy_coefficient == 0.9);
  CHECK(shared.reduction.kind == reduction::fixed_length);
  CHECK(shared.reduction.fixed_length == 11);
  CHECK(shared.gradient_norm_clip == 13);
  CHECK(shared.learning_rate.peak == 0.125);
  CHECK(shared.target_kl == 0.5);
  CHECK(shared.scoring_batch.sequences == 19);
  CHECK(shared.micro_batch.tokens == 23);
  CHECK_FALSE(trainer_options{}.as_ppo_options().sampler_correction.has_value());
  CHECK_FALSE(trainer_options{}.as_ppo_options().whiten_advantages);  // PPO's own default is to whiten
}

TEST_CASE("the estimator of group-relative options is the baseline that they name") {
  const Eigen::ArrayXd rewards{{1, 2, 6, 5, 5}};
  const std::vector<std::size_t> groups{0, 3, 5};
  trainer_options options = trainer_options::dr_grpo();
  CHECK(group_baseline_estimator(options, local)(rewards, groups).isApprox(Eigen::ArrayXd{{-2, -1, 3, 0, 0}}));
  options.baseline = group_baseline::leave_one_out;
  // 1 − (2 + 6)/2, 2 − (1 + 6)/2, 6 − (1 + 2)/2.
  CHECK(group_baseline_estimator(options, local)(rewards, groups).isApprox(Eigen::ArrayXd{{-3, -1.5, 4.5, 0, 0}}));
  options.leave_one_out = {.scale = true, .epsilon = 1e-12};
  CHECK(group_baseline_estimator(options, local)(rewards, groups)(0) == Approx(-3 / std::sqrt(8.0)));
  options = trainer_options::grpo();
  options.scaling = {.deviation = deviation::population, .epsilon = 1e-12};
  CHECK(group_baseline_estimator(options, local)(rewards, groups)(2) == Approx(3 / std::sqrt(14.0 / 3)));
}

TEST_CASE("a scale over the whole batch is over the groups of all ranks") {
  trainer_options options;
  options.scaling = {.scale = group_scale::batch_deviation};
  const std::vector<std::size_t> all_groups{0, 2, 4}, one_group{0, 2};
  const Eigen::ArrayXd all{{0, 1, 0, 7}};
  const Eigen::ArrayXd expected = group_baseline_estimator(options, local)(all, all_groups);
  REQUIRE(std::abs(expected(1) / expected(3) - 1.0 / 7) < 1e-12);  // one scale for both groups
  test::run_ranks(2, [&](auto& ranks) {
    const auto first = static_cast<Eigen::Index>(2 * ranks.rank());
    const Eigen::ArrayXd mine = group_baseline_estimator(options, ranks)(all.segment(first, 2), one_group);
    if (!mine.isApprox(expected.segment(first, 2), 1e-12)) throw error("the ranks' scale is another");
  });
}
