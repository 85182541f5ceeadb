#include "rollouts/reward_parts.hpp"

#include <algorithm>

#include <coho/eigen/as_array.hpp>
#include <coho/reward/composition.hpp>

namespace coho::trainer {

reward_breakdown reward_parts::breakdown(const reward_query& query, double model_score) const {
  return compose_reward(model_score, bonus_, query, normalization_);
}

std::vector<double> reward_parts::total_rewards(std::span<const double> sums, std::span<const std::uint8_t> finished,
                                                std::span<const std::uint8_t> empty) const {
  Eigen::ArrayXd rewards = as_array(sums);
  const auto complete =
      settle_rewards({.rewards = rewards, .finished = finished, .empty = empty}, empty_responses_, shaping_);
  std::vector<double> out(rewards.begin(), rewards.end());
  for (std::size_t i = 0; i < complete.size(); ++i)
    if (complete[i] == 0) out[i] += shaping_.penalty_on(out[i]);
  return out;
}

void reward_parts::on_rollouts(const trajectory_batch& rollouts) {
  sums_ = {};
  for (const reward_breakdown& one : rollouts.breakdowns) {
    // A nonzero bonus means that the languages match.
    const double language = one.part("language");
    const double parts[] = {
        1, one.score, language, one.part("length"), one.empty, one.unfinished, language != 0 ? 1.0 : 0.0};
    for (std::size_t k = 0; k < sums_.size(); ++k) sums_[k] += parts[k];
  }
}

std::vector<std::pair<std::string_view, double>> reward_parts::name_means(const sums_type& sums) const {
  const std::pair<std::string_view, bool> parts[] = {{"reward/score", scored_},
                                                     {"reward/language", bonus_.rewards_language()},
                                                     {"reward/length", bonus_.rewards_length()},
                                                     {"reward/empty", ranks_empty_last()},
                                                     {"reward/unfinished", shaping_.penalises()},
                                                     {"language_match", bonus_.rewards_language()}};
  std::vector<std::pair<std::string_view, double>> out;
  for (std::size_t k = 0; k < std::size(parts); ++k)
    if (parts[k].second) out.emplace_back(parts[k].first, sums[k + 1] / std::max(sums[0], 1.0));
  return out;
}

}  // namespace coho::trainer
