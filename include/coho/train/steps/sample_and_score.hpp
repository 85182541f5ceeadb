#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/error.hpp>
#include <coho/reward/composition.hpp>
#include <coho/reward/empty_response.hpp>
#include <coho/reward/symbolic.hpp>
#include <coho/rng.hpp>
#include <coho/rollout/minibatch.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/steps/model_outputs.hpp>
#include <coho/train/steps/ppo_models.hpp>

namespace coho {

/// What responses are sampled and scored with, by reference: the members of `ppo_models` that sampling and scoring
/// need, for measurements without a driver. The types are deduced.
template <class Policy, class Reward, class Decoder = const no_decoder_type, class Bonus = const no_bonus_type>
struct scoring_models {
  Policy& policy;  ///< causal_lm
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

/// A response to each prompt, with its text: the fields of trajectory_batch up to `recorded_log_probs`. Prompt i draws
/// its random numbers from `random.split(prompts[i].key)`. Throws argument_error for prompts that `check_prompts`
/// refuses and for what a policy must not return.
///
///     auto rollouts = coho::sample_responses(models, prompts, options.generation, coho::rng(seed).split(step));
struct sample_responses_fn {
  template <class Models>
  trajectory_batch operator()(const Models& models, std::span<const rl_prompt> prompts,
                              const generation_options& generation, const rng& random) const {
    check_prompts(prompts);
    trajectory_batch out;
    out.prompts.assign(prompts.begin(), prompts.end());
    std::vector<rng> streams;
    for (const auto& prompt : prompts) {
      out.batch.prompts.push_back(prompt.tokens);
      if (!prompt.value_tokens.empty()) out.value_prompts.push_back(prompt.value_tokens);
      streams.push_back(random.split(prompt.key));
    }
    detail::take_generation(models.policy.generate(out.batch.prompts, generation, detail::span_of(streams)),
                            prompts.size(), out);
    for (std::size_t i = 0; i < out.size(); ++i) {
      out.prompt_texts.push_back(prompts[i].text.empty() ? detail::decode_with(models.decoder, out.batch.prompts[i])
                                                         : prompts[i].text);
      out.response_texts.push_back(detail::decode_with(models.decoder, out.batch.responses[i]));
      out.empty.push_back(detail::decodes<decltype(models.decoder)> && is_blank(out.response_texts.back()) ? 1 : 0);
    }
    return out;
  }
};
inline constexpr sample_responses_fn sample_responses{};

/// Scores rollouts that were sampled: fills in `model_scores`, `breakdowns` and `sequence_rewards`, the last without
/// the rule for empty responses. Throws argument_error for scores and bonuses that are not finite.
struct score_responses_fn {
  template <class Models>
  void operator()(const Models& models, trajectory_batch& rollouts, const scoring_options& options = {}) const {
    const auto queries = rollouts.queries();
    rollouts.model_scores = evaluate_scores(models.reward, queries, options.batch);
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
inline constexpr score_responses_fn score_responses{};

/// Samples a response to each prompt, decodes it, and asks reward model and bonus about it: `sample_responses`, then
/// `score_responses`. For measurements; `collect_rollouts` does the same and evaluates the models of training too.
///
///     const auto rollouts = coho::sample_and_score(coho::scoring_models{.policy = policy, .reward = reward}, prompts,
///                                                  {.max_new_tokens = 64}, coho::rng(1));
///     const double mean = rollouts.model_scores.mean();
struct sample_and_score_fn {
  template <class Models>
  trajectory_batch operator()(const Models& models, std::span<const rl_prompt> prompts,
                              const generation_options& generation, const rng& random,
                              const scoring_options& options = {}) const {
    trajectory_batch out = sample_responses(models, prompts, generation, random);
    score_responses(models, out, options);
    return out;
  }
};
inline constexpr sample_and_score_fn sample_and_score{};

}  // namespace coho
