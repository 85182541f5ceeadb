#pragma once

#include <cstdint>

#include <coho/kl/controllers.hpp>

namespace coho::inline v0_1 {

/// One number per phase of a PPO step, on this rank.
struct ppo_phases {
  double generation = 0;
  double policy = 0;  ///< recomputing old log-probabilities
  double reference = 0;
  double values = 0;
  double rewards = 0;
  double update = 0;
  double total() const noexcept { return generation + policy + reference + values + rewards + update; }
};

/// What one step of PPO, or of a group-relative trainer, did. Over all ranks unless said otherwise; means over tokens
/// weight each response token equally.
struct ppo_statistics {
  std::uint64_t step = 0;
  double sequences = 0, tokens = 0;            ///< rollouts and their response tokens
  double score_mean = 0, score_deviation = 0;  ///< of the reward model, as it gave them
  double reward_mean = 0;         ///< per sequence: normalised score and bonuses, or the empty response's reward
  double shaped_reward_mean = 0;  ///< per sequence: sum of the token rewards, KL penalty included
  double kl_sequence = 0;         ///< mean of Σ_t log π − log π_ref, nats
  double kl_token = 0;
  double kl_coefficient = 0;  ///< β of this step
  double length_mean = 0;     ///< response tokens
  double unfinished = 0;      ///< fraction of responses cut at the limit
  double empty = 0;           ///< fraction of responses without any text; 0 without a decoder
  /// |log π_sampler − log π_old| per token; 0 where the recorded ones are used, NaN where unknown.
  double sampler_difference_mean = 0;
  double sampler_difference_max = 0;
  double explained_variance = 0;  ///< 1 − Var(R − V) / Var(R), values before the update; 0 where Var(R) is 0
  double entropy = 0;             ///< of the policy, during the update; −log π of the rollouts without such output
  double policy_loss = 0, value_loss = 0;
  double kl_loss = 0;  ///< the KL penalty of the loss, before its coefficient; 0 without one
  double clip_fraction = 0, value_clip_fraction = 0;
  double approximate_kl = 0;         ///< between the rollouts' policy and the updated one
  double first_ratio_deviation = 0;  ///< max |π / π_old − 1| of the first minibatch: 0 except for numerical noise
  double gradient_norm = 0;          ///< mean over the optimizer steps, before clipping
  double learning_rate = 0;
  std::uint64_t optimizer_steps = 0;
  double uniform_groups = 0;                   ///< group-relative: fraction of groups whose rewards are all equal
  bool stopped_by_kl = false;                  ///< target_kl ended the updates early
  ppo_phases phase_seconds{}, phase_tokens{};  ///< this rank
};

/// The results of one minibatch of a PPO step, over all ranks.
struct minibatch_statistics {
  std::uint64_t step = 0, epoch = 0, minibatch = 0;
  double tokens = 0, sequences = 0;
  double policy_loss = 0, value_loss = 0, kl_loss = 0, entropy = 0;
  double clip_fraction = 0, value_clip_fraction = 0, approximate_kl = 0;
  double ratio_deviation = 0;  ///< max |π / π_old − 1|
  double gradient_norm = 0;    ///< before clipping
  bool applied = true;         ///< false: over target_kl
};

/// The checkpoint state besides models and optimizers: with it a resumed run equals an uninterrupted one.
/// Random streams are functions of (seed, step, key), the learning rate of the step.
struct ppo_state {
  std::uint64_t step = 0;
  std::uint64_t seed = 0;
  kl_controller_state kl{};
  friend bool operator==(const ppo_state&, const ppo_state&) = default;
};

}  // namespace coho::inline v0_1
