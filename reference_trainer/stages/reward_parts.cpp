#include "stages/reward_parts.hpp"

#include <algorithm>

#include <coho/reward/symbolic.hpp>

namespace coho::trainer {

reward_breakdown reward_parts::of(const reward_query& query, double model_score) const {
  reward_breakdown out{.score = scored_ ? normalize_rewards(model_score, normalization_) : 0.0,
                       .language = bonus_.language(query),
                       .length = bonus_.length(query)};
  if (!query.finished)
    out.unfinished =
        shaping_.unfinished_penalty - (shaping_.unfinished == unfinished_mode::replace ? out.total() : 0.0);
  return out;
}

void reward_parts::on_rollouts(const trajectory_batch& rollouts) {
  sums_ = {};
  for (std::size_t i = 0; i < rollouts.size(); ++i) {
    const reward_query query = rollouts.query(i);
    const reward_breakdown one = of(query, rollouts.model_scores(static_cast<Eigen::Index>(i)));
    // The identifier is asked once: a bonus other than 0 says that the languages are one.
    const double parts[] = {1, one.score, one.language, one.length, one.unfinished, one.language != 0 ? 1.0 : 0.0};
    for (std::size_t k = 0; k < sums_.size(); ++k) sums_[k] += parts[k];
  }
}

std::vector<std::pair<std::string_view, double>> reward_parts::named(const sums_type& sums) const {
  const bool penalty = shaping_.unfinished_penalty != 0 || shaping_.unfinished == unfinished_mode::replace;
  const std::pair<std::string_view, bool> parts[] = {{"reward/score", scored_},
                                                     {"reward/language", bonus_.rewards_language()},
                                                     {"reward/length", bonus_.rewards_length()},
                                                     {"reward/unfinished", penalty},
                                                     {"language_match", bonus_.rewards_language()}};
  std::vector<std::pair<std::string_view, double>> out;
  for (std::size_t k = 0; k < std::size(parts); ++k)
    if (parts[k].second) out.emplace_back(parts[k].first, sums[k + 1] / std::max(sums[0], 1.0));
  return out;
}

}  // namespace coho::trainer
