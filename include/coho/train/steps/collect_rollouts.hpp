#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/optimization/gradient_clipping.hpp>
#include <coho/reward/empty_response.hpp>
#include <coho/reward/symbolic.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/ppo_models.hpp>
#include <coho/train/steps/ppo_statistics.hpp>
#include <coho/train/steps/stopwatch.hpp>

namespace coho {

namespace detail {

/// Checks what was sampled and moves it into the rollouts.
template <std::same_as<generation> Generation>
void take_generation(Generation sampled, std::size_t prompts, trajectory_batch& out) {
  require_argument(sampled.responses.size() == prompts && sampled.finished.size() == prompts,
                   "generate returned " + std::to_string(sampled.responses.size()) + " responses for " +
                       std::to_string(prompts) + " prompts");
  require_argument(sampled.log_probs.offsets == sampled.responses.offsets,
                   "generate returned log-probabilities that are not one a response token");
  for (std::size_t i = 0; i < prompts; ++i) {
    require_argument(sampled.responses.length(i) > 0, "generate returned an empty response to prompt " +
                                                          std::to_string(i) +
                                                          ": a response holds at least its end token");
  }
  out.recorded_log_probs = lift_output(sampled.log_probs.values, sampled.responses.total(), "log_probs of generate");
  out.batch.responses = std::move(sampled.responses);
  out.finished = std::move(sampled.finished);
}

}  // namespace detail

/// The first half of a PPO step: samples a response to each prompt and evaluates it, up to the sequence rewards.
/// Each rollout draws from rng(seed).split(step).split(key). Adds to the phases' seconds and tokens.
struct collect_rollouts_fn {
  template <class... Types>
  trajectory_batch operator()(const ppo_models<Types...>& models, std::span<const rl_prompt> prompts,
                              const ppo_options& options, std::uint64_t step, ppo_statistics& statistics) const {
    check_prompts(prompts);
    detail::stopwatch watch;
    trajectory_batch out;
    out.prompts.assign(prompts.begin(), prompts.end());
    std::vector<rng> streams;
    const rng step_stream = rng(options.seed).split(step);
    for (const auto& prompt : prompts) {
      out.batch.prompts.push_back(prompt.tokens);
      if (!prompt.value_tokens.empty()) out.value_prompts.push_back(prompt.value_tokens);
      streams.push_back(step_stream.split(prompt.key));
    }
    generation sampled = models.policy.generate(out.batch.prompts, options.generation, detail::span_of(streams));
    detail::take_generation(std::move(sampled), prompts.size(), out);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out.prompt_texts.push_back(prompts[i].text.empty() ? detail::decode_with(models.decoder, out.batch.prompts[i])
                                                         : prompts[i].text);
      out.response_texts.push_back(detail::decode_with(models.decoder, out.batch.responses[i]));
      out.empty.push_back(detail::decodes<decltype(models.decoder)> && is_blank(out.response_texts.back()) ? 1 : 0);
    }
    auto& seconds = statistics.phase_seconds;
    auto& tokens = statistics.phase_tokens;
    const auto responses = static_cast<double>(out.tokens());
    const auto whole = static_cast<double>(out.batch.prompts.total()) + responses;
    seconds.generation += watch.lap();
    tokens.generation += responses;

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

    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(models.value)>, no_value_type>) {
      out.values = Eigen::ArrayXd::Zero(out.old_log_probs.size());
    } else {
      const token_batch value_batch = out.value_batch();
      out.values = evaluate_values(models.value, value_batch, options.scoring_batch);
      seconds.values += watch.lap();
      tokens.values += static_cast<double>(value_batch.prompts.total()) + responses;
    }

    const auto queries = out.queries();
    out.model_scores = evaluate_scores(models.reward, queries, options.scoring_batch);
    out.sequence_rewards = normalize_rewards(out.model_scores, options.normalization);
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const auto bonus = static_cast<double>(models.bonus(queries[i]));
      require_argument(std::isfinite(bonus), "the bonus of rollout " + std::to_string(i) + " is not finite");
      out.sequence_rewards(static_cast<Eigen::Index>(i)) += bonus;
    }
    seconds.rewards += watch.lap();
    tokens.rewards += whole;
    return out;
  }
};
inline constexpr collect_rollouts_fn collect_rollouts{};

namespace detail {

/// Fills in what the rollouts say. All ranks call together.
template <std::same_as<trajectory_batch> Rollouts, class Communicator>
void describe_rollouts(const Rollouts& r, Communicator& ranks, ppo_statistics& out) {
  const Eigen::ArrayXd kl = r.old_log_probs - r.reference_log_probs;
  const Eigen::ArrayXd difference = (r.recorded_log_probs - r.old_log_probs).abs();
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
  out.sampler_difference_max = all_reduce_max(difference.size() > 0 ? difference.maxCoeff() : 0.0, ranks);
}

}  // namespace detail

}  // namespace coho
