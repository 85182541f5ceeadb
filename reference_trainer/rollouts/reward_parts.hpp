#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/rollout/trajectory.hpp>
#include <coho/train/options/ppo_options.hpp>

#include "rollouts/symbolic_rewards.hpp"

namespace coho::trainer {

/// What the reward of one response is made of, before `reward_scale` and without the KL penalty.
struct reward_breakdown {
  double score = 0;  ///< of the reward model, normalised
  double language = 0, length = 0;
  double empty = 0;       ///< what `ppo.empty_responses` changes for an empty response
  double unfinished = 0;  ///< what the penalty changes: itself when it is added, its distance to the rest otherwise
  double earned() const { return score + language + length + empty; }
  double total() const { return earned() + unfinished; }
};

/// Takes the rewards of rollouts apart, as a callback of ppo_trainer, and keeps their means:
///
///     reward_parts parts(options, bonus, true);
///     trainer.step(prompts, parts);
///     for (const auto& [name, mean] : parts.means()) log.scalar(name, step, mean);
class reward_parts {
 public:
  /// `scored`: there is a reward model.
  reward_parts(const ppo_options& options, const symbolic_rewards& bonus, bool scored)
      : normalization_(options.normalization),
        empty_responses_(options.empty_responses),
        shaping_(options.shaping),
        bonus_(bonus),
        scored_(scored) {}

  /// `model_score`: as the reward model gave it. Without the rule for empty responses, which is of a whole step.
  reward_breakdown of(const reward_query& query, double model_score) const;
  /// What responses earn in all, by the rule for empty ones and with the penalty: `earned`, `finished` and `empty` hold
  /// a number or flag for each.
  std::vector<double> settled(std::span<const double> earned, std::span<const std::uint8_t> finished,
                              std::span<const std::uint8_t> empty) const;
  const symbolic_rewards& bonus() const { return bonus_; }

  void on_rollouts(const trajectory_batch& rollouts);

  /// Of the last rollouts, over all ranks: reward/score, reward/language, reward/length, reward/empty and
  /// reward/unfinished, those that are switched on, and with the bonus for language the share language_match. All ranks
  /// call together.
  template <communicator Communicator = const local_communicator>
  std::vector<std::pair<std::string_view, double>> means(Communicator&& ranks = local_communicator{}) const {
    auto sums = sums_;
    ranks.all_reduce_sum(std::span<double>(sums));
    return named(sums);
  }

 private:
  using sums_type = std::array<double, 7>;  ///< rollouts, the five parts, matches of language
  std::vector<std::pair<std::string_view, double>> named(const sums_type& sums) const;

  bool ranks_empty_last() const { return empty_responses_ == empty_response_rule::lowest; }
  double penalty(double earned) const;

  normalize_options normalization_;
  empty_response_rule empty_responses_;
  shaping_options shaping_;
  symbolic_rewards bonus_;
  bool scored_;
  sums_type sums_{};
};

}  // namespace coho::trainer
