#pragma once

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
#include <coho/detail/if_called.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/reward/composition.hpp>
#include <coho/reward/empty_response.hpp>
#include <coho/reward/normalization.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/micro_batch.hpp>
#include <coho/rollout/sampled_rollouts.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/ppo_models.hpp>

namespace coho::inline v0_1 {

/// The models that sample and score responses, by reference: the members of `ppo_models` that sampling and scoring
/// need, for measurements without a driver. The types are deduced.
template <class Policy, class Reward, class Decoder = const no_decoder_type, class Bonus = const no_bonus_type>
struct scoring_models {
  Policy& policy;  ///< a sampler suffices
  Reward& reward;
  Decoder& decoder = no_decoder;
  Bonus& bonus = no_bonus;
};

#if defined(__clang__) && __clang_major__ < 17
template <class... Models>
scoring_models(Models&...) -> scoring_models<Models...>;
#endif

struct scoring_options {
  normalize_options normalization{};
  batch_limits batch{};  ///< of the reward model's forward passes
};

namespace detail {

/// Moves what a sampler returned into rollouts of these prompts. Throws argument_error for counts that differ, empty
/// responses and log-probabilities that do not fit or are not finite.
template <std::same_as<generation> Generation>
sampled_rollouts rollouts_from_generation(Generation sampled, std::span<const rl_prompt> prompts) {
  require_argument(sampled.responses.size() == prompts.size() && sampled.finished.size() == prompts.size(),
                   "generate returned " + std::to_string(sampled.responses.size()) + " responses for " +
                       std::to_string(prompts.size()) + " prompts");
  const bool known = !sampled.log_probs.empty();
  require_argument(!known || sampled.log_probs.offsets == sampled.responses.offsets,
                   "generate returned log-probabilities that are not one per response token");
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    require_argument(sampled.responses.length(i) > 0, "generate returned an empty response to prompt " +
                                                          std::to_string(i) +
                                                          ": a response holds at least its end token");
  }
  sampled_rollouts out;
  out.prompts.assign(prompts.begin(), prompts.end());
  if (known) {
    const Eigen::ArrayXd log_probs =
        checked_output(sampled.log_probs.values, sampled.responses.total(), "log_probs of generate");
    out.log_probs.assign(log_probs.begin(), log_probs.end());
  }
  out.responses = std::move(sampled.responses);
  out.finished = std::move(sampled.finished);
  return out;
}

/// 1 for each blank response text. Where texts are not `known`, since there is no decoder, all are 0.
template <class = detail::if_called>
std::vector<std::uint8_t> blank_texts(const std::vector<std::string>& texts, bool known) {
  std::vector<std::uint8_t> out;
  for (const auto& text : texts) out.push_back(known && is_blank(text) ? 1 : 0);
  return out;
}

/// A copy as an Eigen array; empty stays empty.
template <class = detail::if_called>
Eigen::ArrayXd to_array(const std::vector<double>& numbers) {
  return Eigen::Map<const Eigen::ArrayXd>(numbers.data(), static_cast<Eigen::Index>(numbers.size()));
}

/// Rollouts with their texts and given values; nothing is evaluated.
template <class Decoder>
trajectory_batch make_trajectories(sampled_rollouts sampled, Decoder& decoder) {
  trajectory_batch out;
  for (const auto& prompt : sampled.prompts) {
    out.batch.prompts.push_back(prompt.tokens);
    if (!prompt.value_tokens.empty()) out.value_prompts.push_back(prompt.value_tokens);
    out.prompt_texts.push_back(prompt.text.empty() ? decode_with(decoder, prompt.tokens) : prompt.text);
  }
  out.batch.responses = std::move(sampled.responses);
  const bool given = !sampled.texts.empty();
  out.response_texts = std::move(sampled.texts);
  for (std::size_t i = 0; !given && i < out.size(); ++i)
    out.response_texts.push_back(decode_with(decoder, out.batch.responses[i]));
  out.empty = blank_texts(out.response_texts, given || decodes<Decoder>);
  out.finished = std::move(sampled.finished);
  if (out.finished.empty()) out.finished.assign(out.size(), 1);
  out.recorded_log_probs = to_array(sampled.log_probs);
  out.model_scores = to_array(sampled.scores);
  out.prompts = std::move(sampled.prompts);
  return out;
}

}  // namespace detail

/// Responses to prompts. Each draws from `random.split(key)`, its prompt's key; `random` of a training step is
/// rng(seed).split(step).
///
///     coho::sampled_rollouts rollouts = coho::sample_rollouts(engine, prompts, {.max_new_tokens = 64}, seed, step);
struct sample_rollouts_fn {
  template <sampler Sampler>
  sampled_rollouts operator()(Sampler& sampler, std::span<const rl_prompt> prompts, const generation_options& options,
                              const rng& random) const {
    check_prompts(prompts);
    packed<token> contexts;
    std::vector<rng> streams;
    for (const auto& prompt : prompts) {
      contexts.push_back(prompt.tokens);
      streams.push_back(random.split(prompt.key));
    }
    return detail::rollouts_from_generation<generation>(sampler.generate(contexts, options, detail::span_of(streams)),
                                                        prompts);
  }
  template <sampler Sampler>
  sampled_rollouts operator()(Sampler& sampler, std::span<const rl_prompt> prompts, const generation_options& options,
                              std::uint64_t seed, std::uint64_t step) const {
    return (*this)(sampler, prompts, options, rng(seed).split(step));
  }
};
inline constexpr sample_rollouts_fn sample_rollouts{};

/// Scores rollouts: fills in `model_scores` (scores that the rollouts carry are kept), `breakdowns` and
/// `sequence_rewards`, the last without the rule for empty responses. Throws argument_error for scores and bonuses that
/// are not finite, and where there are neither scores nor a reward model.
struct score_rollouts_fn {
  template <class Models>
  void operator()(const Models& models, trajectory_batch& rollouts, const scoring_options& options = {}) const {
    const auto queries = rollouts.queries();
    if (rollouts.model_scores.size() == 0) {
      if constexpr (detail::is_placeholder<decltype(models.reward), no_reward_type>) {
        throw argument_error("the rollouts have no scores, and there is no reward model to ask");
      } else {
        rollouts.model_scores = evaluate_scores(models.reward, queries, options.batch);
      }
    }
    rollouts.sequence_rewards.resize(rollouts.model_scores.size());
    rollouts.breakdowns.clear();
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const auto place = static_cast<Eigen::Index>(i);
      const reward_breakdown& parts = rollouts.breakdowns.emplace_back(
          compose_reward(rollouts.model_scores(place), models.bonus, queries[i], options.normalization));
      double bonus = 0;
      for (const auto& one : parts.bonus) bonus += one.value;
      require_argument(std::isfinite(bonus), "the bonus of rollout " + std::to_string(i) + " is not finite");
      rollouts.sequence_rewards(place) = parts.score + bonus;
    }
  }
};
inline constexpr score_rollouts_fn score_rollouts{};

/// Samples a response to each prompt, decodes it, and scores it by reward model and bonus. For measurements;
/// `collect_rollouts` does the same and also evaluates the trained models.
///
///     const auto rollouts = coho::sample_and_score(coho::scoring_models{.policy = policy, .reward = reward}, prompts,
///                                                  {.max_new_tokens = 64}, coho::rng(1));
///     const double mean = rollouts.model_scores.mean();
struct sample_and_score_fn {
  template <class Models>
  trajectory_batch operator()(const Models& models, std::span<const rl_prompt> prompts,
                              const generation_options& generation, const rng& random,
                              const scoring_options& options = {}) const {
    trajectory_batch out = detail::make_trajectories(
        sample_rollouts(detail::sampler_or_policy(models), prompts, generation, random), models.decoder);
    score_rollouts(models, out, options);
    return out;
  }
};
inline constexpr sample_and_score_fn sample_and_score{};

}  // namespace coho::inline v0_1
