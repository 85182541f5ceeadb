#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <coho/advantage/gae.hpp>
#include <coho/train/steps/collect_rollouts.hpp>
#include <coho/train/steps/estimate_advantages.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

namespace {
trajectory_batch by_hand() {
  trajectory_batch r;
  r.batch = {{{1}, {1}}, {{1, 2}, {0}}};
  r.finished = {0, 1};
  r.old_log_probs = r.recorded_log_probs = Eigen::ArrayXd{{-1.0, -2.0, -0.5}};
  r.reference_log_probs = Eigen::ArrayXd{{-1.5, -1.0, -0.5}};
  r.values = Eigen::ArrayXd{{0.1, 0.2, 0.3}};
  r.model_scores = r.sequence_rewards = Eigen::ArrayXd{{2.0, -1.0}};
  return r;
}

double shaped_reward_mean(const trajectory_batch& rollouts) {
  ppo_statistics statistics;
  detail::describe_rollouts(rollouts, local, statistics);
  return statistics.shaped_reward_mean;
}
}  // namespace

TEST_CASE("token rewards, returns and advantages by hand") {
  auto r = by_hand();
  ppo_options options;
  options.generation.max_new_tokens = 2;
  options.whiten_advantages = false;
  options.shaping.unfinished_penalty = -0.5;
  estimate_advantages(r, options, 0.1, local);
  // KL 0.5, −1, 0.
  CHECK(r.rewards.isApprox(Eigen::ArrayXd{{-0.05, 0.1 + 2 - 0.5, -1}}));
  CHECK(r.returns.isApprox(Eigen::ArrayXd{{1.55, 1.6, -1}}));
  CHECK(r.advantages.isApprox(Eigen::ArrayXd{{1.45, 1.4, -1.3}}));
  CHECK(shaped_reward_mean(r) == Approx((1.55 - 1) / 2));

  options.whiten_advantages = true;
  estimate_advantages(r, options, 0.1, local);
  CHECK(r.advantages.sum() == Approx(0).margin(1e-12));
  CHECK(r.advantages.square().mean() == Approx(1));
  CHECK(r.returns.isApprox(Eigen::ArrayXd{{1.55, 1.6, -1}}));  // not whitened
}

TEST_CASE("an empty response earns what the worst answer does, less the penalty of an unfinished one") {
  auto r = by_hand();
  r.finished = {1, 1};
  r.empty = {0, 1};
  r.model_scores = r.sequence_rewards = Eigen::ArrayXd{{2.0, 50.0}};
  ppo_options options;
  options.whiten_advantages = false;
  options.shaping.unfinished_penalty = -0.5;
  auto scored = r;
  estimate_advantages(r, options, 0.1, local);
  CHECK(r.sequence_rewards.isApprox(Eigen::ArrayXd{{2, 2}}));
  CHECK(r.model_scores.isApprox(Eigen::ArrayXd{{2, 50}}));  // what the model said stays to be seen
  CHECK(r.rewards.isApprox(Eigen::ArrayXd{{-0.05, 0.1 + 2, 2 - 0.5}}));
  CHECK(r.returns.isApprox(Eigen::ArrayXd{{2.05, 2.1, 1.5}}));
  ppo_statistics statistics;
  detail::describe_rollouts(r, local, statistics);
  CHECK(statistics.empty == 0.5);
  CHECK(statistics.unfinished == 0);
  CHECK(statistics.reward_mean == 2);
  CHECK(statistics.score_mean == 26);

  options.shaping.unfinished = unfinished_mode::replace;
  shape_rollout_rewards(r, options, 0.1, local);
  CHECK(r.rewards.isApprox(Eigen::ArrayXd{{-0.05, 0.1 + 2, -0.5}}));

  options.empty_responses = empty_response_rule::scored;
  estimate_advantages(scored, options, 0.1, local);
  CHECK(scored.rewards.isApprox(Eigen::ArrayXd{{-0.05, 0.1 + 2, 50}}));
}

TEST_CASE("the padded layout of the released code") {
  auto r = by_hand();
  ppo_options options = ppo_options::salmon_code();
  options.generation.max_new_tokens = 3;
  estimate_advantages(r, options, 0.1, local);
  // Rewards ×10, KL clamped at 0, the reward in the third slot: the real tokens' own rewards hold only KL.
  CHECK(r.rewards.isApprox(Eigen::ArrayXd{{-0.5, 0, 0}}));
  // The mean counts what lies on padding: −0.5 + 10·(2 − 6) = −40.5 and 10·(−1).
  CHECK(shaped_reward_mean(r) == Approx((-40.5 - 10) / 2));
  // It still reaches them by γ = λ = 1: returns 10·(2 − 6) − 0.5, 10·(2 − 6), −10.
  CHECK(r.returns.isApprox(Eigen::ArrayXd{{-40.5, -40, -10}}));
  // Whitened over six slots: −40.6, −40.2, −40 and −10.3, −10, −10.
  const Eigen::ArrayXd slots{{-40.6, -40.2, -40, -10.3, -10, -10}};
  const double mean = slots.mean(), deviation = std::sqrt((slots - mean).square().mean());
  CHECK(r.advantages(0) == Approx((-40.6 - mean) / deviation));
  CHECK(r.advantages(2) == Approx((-10.3 - mean) / deviation));

  options.generation.max_new_tokens = 1;
  CHECK_THROWS_WITH(estimate_advantages(r, options, 0.1, local),
                    ContainsSubstring("response 0 is longer than max_new_tokens"));
}

TEST_CASE("shaped rewards of rollouts alone touch nothing else") {
  auto r = by_hand();
  ppo_options options;
  options.shaping.unfinished_penalty = -0.5;
  options.shaping.kl_coefficient = 99;  // the coefficient that is given counts
  shape_rollout_rewards(r, options, 0.1, local);
  CHECK(r.rewards.isApprox(Eigen::ArrayXd{{-0.05, 0.1 + 2 - 0.5, -1}}));
  CHECK(r.shaped_reward_sum == Approx(1.55 - 1));
  CHECK(r.advantages.size() == 0);
  CHECK(r.returns.size() == 0);
  shape_rollout_rewards(r, options, 0, local);
  CHECK(r.rewards.isApprox(Eigen::ArrayXd{{0, 1.5, -1}}));
}

TEST_CASE("an estimator sees the slots of the layout, and padding is left out of its answer") {
  auto r = by_hand();
  ppo_options options;
  options.whiten_advantages = false;
  options.padded_layout = true;
  options.generation.max_new_tokens = 3;
  Eigen::ArrayXd seen_rewards, seen_values;
  std::vector<std::size_t> seen_offsets;
  const auto numbered = [&](const advantage_inputs<double>& in) {
    seen_rewards = in.rewards;
    seen_values = in.values;
    seen_offsets.assign(in.offsets.begin(), in.offsets.end());
    const Eigen::Index size = in.rewards.size();
    const Eigen::ArrayXd places = Eigen::ArrayXd::LinSpaced(size, 0, static_cast<double>(size - 1));
    return gae_result<Eigen::ArrayXd>{places, 10 * places};
  };
  estimate_advantages(r, options, 0.1, local, numbered);
  CHECK(seen_rewards.isApprox(Eigen::ArrayXd{{-0.05, 2.1, 0, -1, 0, 0}}));
  CHECK(seen_values.isApprox(Eigen::ArrayXd{{0.1, 0.2, 0, 0.3, 0, 0}}));
  CHECK(seen_offsets == std::vector<std::size_t>{0, 3, 6});
  CHECK(r.advantages.isApprox(Eigen::ArrayXd{{0, 1, 3}}));
  CHECK(r.returns.isApprox(Eigen::ArrayXd{{0, 10, 30}}));
  options.padded_layout = false;
  estimate_advantages(r, options, 0.1, local, numbered);
  CHECK(seen_offsets == std::vector<std::size_t>{0, 2, 3});
  CHECK(r.advantages.isApprox(Eigen::ArrayXd{{0, 1, 2}}));
}

TEST_CASE("the correction of a sampler weighs whitened advantages, not returns") {
  ppo_options options;
  auto plain = by_hand(), corrected = by_hand();
  estimate_advantages(plain, options, 0.1, local);
  options.sampler_correction = importance_weights_options{.high = 1.5};
  corrected.recorded_log_probs += Eigen::ArrayXd{{std::log(2.0), 0, -1}};
  estimate_advantages(corrected, options, 0.1, local);
  // Trainer over sampler: 1/2, 1, and e, which is cut at 1.5.
  CHECK(corrected.advantages.isApprox(plain.advantages * Eigen::ArrayXd{{0.5, 1, 1.5}}));
  CHECK(corrected.returns.isApprox(plain.returns));
  CHECK(corrected.rewards.isApprox(plain.rewards));
  CHECK(plain.advantages.abs().minCoeff() > 0.1);
}

TEST_CASE("advantages of several ranks are whitened together") {
  auto whole = by_hand();
  ppo_options options;
  estimate_advantages(whole, options, 0.1, local);
  test::run_ranks(2, [&](auto& ranks) {
    const auto all = by_hand();
    const std::size_t mine[] = {ranks.rank()};
    const auto tokens = [&](const Eigen::ArrayXd& flat) { return gather(flat, all.batch.responses.offsets, mine); };
    trajectory_batch r;
    r.batch = all.batch.select(mine);
    r.finished = {all.finished[mine[0]]};
    r.old_log_probs = r.recorded_log_probs = tokens(all.old_log_probs);
    r.reference_log_probs = tokens(all.reference_log_probs);
    r.values = tokens(all.values);
    r.model_scores = r.sequence_rewards = all.sequence_rewards.segment(static_cast<Eigen::Index>(mine[0]), 1);
    estimate_advantages(r, options, 0.1, ranks);
    if (!r.advantages.isApprox(tokens(whole.advantages), 1e-12)) throw error("a rank was whitened by itself");
  });
}
