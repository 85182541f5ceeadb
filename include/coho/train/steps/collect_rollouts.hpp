#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/parallel/all_reduce.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/sampled_rollouts.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/ppo_models.hpp>
#include <coho/train/steps/ppo_statistics.hpp>
#include <coho/train/steps/sample_and_score.hpp>
#include <coho/train/steps/stopwatch.hpp>

namespace coho::inline v0_1 {

/// The models' outputs for rollouts, up to the sequence rewards. Adds to the phases' seconds and tokens. Throws
/// `argument_error` for rollouts that do not fit (`check_rollouts`), and where the options need the sampler's
/// log-probabilities and they are missing.
struct evaluate_rollouts_fn {
  template <class... Types>
  trajectory_batch operator()(const ppo_models<Types...>& models, sampled_rollouts sampled, const ppo_options& options,
                              ppo_statistics& statistics) const {
    check_rollouts(sampled);
    const bool recorded = !sampled.log_probs.empty();
    require_argument(recorded || options.old_log_probs == old_log_prob_source::recomputed,
                     "the rollouts have no log_probs of their sampler, but old_log_probs is recorded");
    require_argument(recorded || !options.sampler_correction,
                     "the rollouts have no log_probs of their sampler, which sampler_correction needs");
    trajectory_batch out = detail::make_trajectories(std::move(sampled), models.decoder);
    auto& seconds = statistics.phase_seconds;
    auto& tokens = statistics.phase_tokens;
    const auto responses = static_cast<double>(out.tokens());
    const auto whole = static_cast<double>(out.batch.prompts.total()) + responses;
    detail::stopwatch watch;

    if (options.old_log_probs == old_log_prob_source::recomputed) {
      out.old_log_probs =
          evaluate_log_probs(models.policy, out.batch, options.scoring_batch, "log_probs of the policy");
      tokens.policy += whole;
    } else {
      out.old_log_probs = out.recorded_log_probs;
    }
    seconds.policy += watch.lap();

    out.reference_log_probs =
        evaluate_log_probs(models.reference, out.batch, options.scoring_batch, "log_probs of the reference policy");
    seconds.reference += watch.lap();
    tokens.reference += whole;

    if constexpr (detail::is_placeholder<decltype(models.value), no_value_type>) {
      out.values = Eigen::ArrayXd::Zero(out.old_log_probs.size());
    } else {
      const token_batch value_batch = out.value_batch();
      out.values = evaluate_values(models.value, value_batch, options.scoring_batch);
      seconds.values += watch.lap();
      tokens.values += static_cast<double>(value_batch.prompts.total()) + responses;
    }

    if (out.model_scores.size() == 0) tokens.rewards += whole;
    score_rollouts(models, out, {.normalization = options.normalization, .batch = options.scoring_batch});
    seconds.rewards += watch.lap();
    return out;
  }
};
inline constexpr evaluate_rollouts_fn evaluate_rollouts{};

/// The first half of a PPO step: `sample_rollouts` by the sampler, or by the policy if there is none, then
/// `evaluate_rollouts`.
struct collect_rollouts_fn {
  template <class... Types>
  trajectory_batch operator()(const ppo_models<Types...>& models, std::span<const rl_prompt> prompts,
                              const ppo_options& options, std::uint64_t step, ppo_statistics& statistics) const {
    detail::stopwatch watch;
    auto sampled = sample_rollouts(detail::sampler_or_policy(models), prompts, options.generation, options.seed, step);
    statistics.phase_seconds.generation += watch.lap();
    statistics.phase_tokens.generation += static_cast<double>(sampled.responses.total());
    return evaluate_rollouts(models, std::move(sampled), options, statistics);
  }
};
inline constexpr collect_rollouts_fn collect_rollouts{};

namespace detail {

/// Fills in the statistics of the rollouts: means per sequence and per token over all ranks, which call together. The
/// deviation and the explained variance take a second reduction, around the global means.
template <std::same_as<trajectory_batch> Rollouts, class Communicator>
void describe_rollouts(const Rollouts& r, Communicator& ranks, ppo_statistics& out) {
  const Eigen::ArrayXd kl = r.old_log_probs - r.reference_log_probs;
  // NaN where the sampler's log-probabilities are unknown, and then on all ranks.
  const Eigen::ArrayXd difference =
      r.recorded_log_probs.size() == r.old_log_probs.size()
          ? Eigen::ArrayXd((r.recorded_log_probs - r.old_log_probs).abs())
          : Eigen::ArrayXd::Constant(r.old_log_probs.size(), std::numeric_limits<double>::quiet_NaN());
  double unfinished = 0, empty = 0;
  for (const auto f : r.finished) unfinished += f == 0 ? 1 : 0;
  for (const auto e : r.empty) empty += e != 0 ? 1 : 0;
  const Eigen::ArrayXd residual = r.returns - r.values;
  double sums[] = {static_cast<double>(r.size()),
                   static_cast<double>(r.tokens()),
                   r.model_scores.sum(),
                   r.sequence_rewards.sum(),
                   r.shaped_reward_sum,
                   kl.sum(),
                   unfinished,
                   difference.sum(),
                   -r.old_log_probs.sum(),
                   r.returns.sum(),
                   residual.sum(),
                   empty};
  ranks.all_reduce_sum(span_of(sums));
  const double sequences = std::max(sums[0], 1.0), tokens = std::max(sums[1], 1.0);
  out.sequences = sums[0];
  out.tokens = sums[1];
  out.score_mean = sums[2] / sequences;
  out.reward_mean = sums[3] / sequences;
  out.shaped_reward_mean = sums[4] / sequences;
  out.kl_sequence = sums[5] / sequences;
  out.kl_token = sums[5] / tokens;
  out.length_mean = sums[1] / sequences;
  out.unfinished = sums[6] / sequences;
  out.empty = sums[11] / sequences;
  out.sampler_difference_mean = sums[7] / tokens;
  out.entropy = sums[8] / tokens;
  double squares[] = {(r.model_scores - out.score_mean).square().sum(), (r.returns - sums[9] / tokens).square().sum(),
                      (residual - sums[10] / tokens).square().sum()};
  ranks.all_reduce_sum(span_of(squares));
  out.score_deviation = std::sqrt(squares[0] / sequences);
  out.explained_variance = squares[1] > 0 ? 1 - squares[2] / squares[1] : 0;
  const bool known = !std::isnan(out.sampler_difference_mean);
  const double largest = all_reduce_max(known && difference.size() > 0 ? difference.maxCoeff() : 0.0, ranks);
  out.sampler_difference_max = known ? largest : out.sampler_difference_mean;
}

}  // namespace detail

}  // namespace coho::inline v0_1
