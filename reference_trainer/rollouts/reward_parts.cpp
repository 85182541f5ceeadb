#include "rollouts/reward_parts.hpp"

#include <algorithm>

#include <coho/reward/empty_response.hpp>
#include <coho/reward/symbolic.hpp>

namespace coho::trainer {

reward_breakdown reward_parts::of(const reward_query& query, double model_score) const {
  reward_breakdown out{.score = scored_ ? normalize_rewards(model_score, normalization_) : 0.0,
                       .language = bonus_.language(query),
                       .length = bonus_.length(query)};
  if (!query.finished) out.unfinished = penalty(out.earned());
  return out;
}

double reward_parts::penalty(double earned) const {
  return shaping_.unfinished_penalty - (shaping_.unfinished == unfinished_mode::replace ? earned : 0.0);
}

std::vector<double> reward_parts::settled(std::span<const double> earned, std::span<const std::uint8_t> finished,
                                          std::span<const std::uint8_t> empty) const {
  std::vector<double> out(earned.begin(), earned.end());
  if (ranks_empty_last()) {
    const Eigen::ArrayXd ranked = rank_empty_last(out, empty);
    out.assign(ranked.begin(), ranked.end());
  }
  for (std::size_t i = 0; i < out.size(); ++i)
    if (finished[i] == 0 || (ranks_empty_last() && empty[i] != 0)) out[i] += penalty(out[i]);
  return out;
}

void reward_parts::on_rollouts(const trajectory_batch& rollouts) {
  sums_ = {};
  for (std::size_t i = 0; i < rollouts.size(); ++i) {
    const reward_query query = rollouts.query(i);
    const auto place = static_cast<Eigen::Index>(i);
    reward_breakdown one = of(query, rollouts.model_scores(place));
    if (ranks_empty_last() && i < rollouts.empty.size() && rollouts.empty[i] != 0) {
      one.empty = rollouts.sequence_rewards(place) - one.earned();
      one.unfinished = penalty(one.earned());
    }
    // The identifier is asked once: a bonus other than 0 says that the languages are one.
    const double parts[] = {
        1, one.score, one.language, one.length, one.empty, one.unfinished, one.language != 0 ? 1.0 : 0.0};
    for (std::size_t k = 0; k < sums_.size(); ++k) sums_[k] += parts[k];
  }
}

std::vector<std::pair<std::string_view, double>> reward_parts::named(const sums_type& sums) const {
  const bool penalised = shaping_.unfinished_penalty != 0 || shaping_.unfinished == unfinished_mode::replace;
  const std::pair<std::string_view, bool> parts[] = {{"reward/score", scored_},
                                                     {"reward/language", bonus_.rewards_language()},
                                                     {"reward/length", bonus_.rewards_length()},
                                                     {"reward/empty", ranks_empty_last()},
                                                     {"reward/unfinished", penalised},
                                                     {"language_match", bonus_.rewards_language()}};
  std::vector<std::pair<std::string_view, double>> out;
  for (std::size_t k = 0; k < std::size(parts); ++k)
    if (parts[k].second) out.emplace_back(parts[k].first, sums[k + 1] / std::max(sums[0], 1.0));
  return out;
}

}  // namespace coho::trainer
