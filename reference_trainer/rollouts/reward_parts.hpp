#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/reward/breakdown.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>

#include "rollouts/symbolic_rewards.hpp"

namespace coho::trainer {

/// The means of the parts of rollouts' rewards, from their breakdowns, as a callback of ppo_trainer:
///
///     reward_parts parts(options, bonus, true);
///     trainer.step(prompts, parts);
///     for (const auto& [name, mean] : parts.means()) log.add_scalar(name, step, mean);
class reward_parts {
 public:
  /// `scored`: there is a reward model.
  reward_parts(const ppo_options& options, const symbolic_rewards& bonus, bool scored)
      : normalization_(scored ? options.normalization : normalize_options{}),
        empty_responses_(options.empty_responses),
        shaping_(options.shaping),
        bonus_(bonus),
        scored_(scored) {}

  /// The parts of one response's reward. `model_score`: the reward model's raw score. Without the rule for empty
  /// responses, which needs a whole step.
  reward_breakdown breakdown(const reward_query& query, double model_score) const;
  /// The whole rewards of a step's responses: `sums` of their parts, with the rule for empty responses and the penalty
  /// for unfinished ones. One number or flag per response each.
  std::vector<double> total_rewards(std::span<const double> sums, std::span<const std::uint8_t> finished,
                                    std::span<const std::uint8_t> empty) const;
  /// The rewards that need no model.
  const symbolic_rewards& bonus() const { return bonus_; }

  /// Sums the parts over a step's rollouts, in place of those of the step before.
  void on_rollouts(const trajectory_batch& rollouts);

  /// Of the last rollouts, over all ranks: reward/score, reward/language, reward/length, reward/empty and
  /// reward/unfinished, those enabled, and with the language bonus the fraction language_match. All ranks
  /// call together.
  template <communicator Communicator = const local_communicator>
  std::vector<std::pair<std::string_view, double>> means(Communicator&& ranks = local_communicator{}) const {
    auto sums = sums_;
    ranks.all_reduce_sum(std::span<double>(sums));
    return name_means(sums);
  }

 private:
  using sums_type = std::array<double, 7>;  ///< rollouts, the five parts, language matches
  // The enabled means with their names in the log.
  std::vector<std::pair<std::string_view, double>> name_means(const sums_type& sums) const;

  // Whether empty responses get the lowest reward of their step.
  bool ranks_empty_last() const { return empty_responses_ == empty_response_rule::lowest; }

  normalize_options normalization_;
  empty_response_rule empty_responses_;
  shaping_options shaping_;
  symbolic_rewards bonus_;
  bool scored_;
  sums_type sums_{};
};

}  // namespace coho::trainer
