#include "rollouts/initial_scale.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <coho/parallel/shards.hpp>
#include <coho/train/steps/sample_and_score.hpp>

namespace coho::trainer {

normalize_options initial_scale(const scored_sampling& sampling, std::size_t samples, std::uint64_t seed,
                                process_group& ranks) {
  const auto decode = [&](std::span<const token> response) { return sampling.decoder.response_text(response); };
  const scoring_models models{.policy = sampling.policy, .reward = sampling.reward, .decoder = decode};
  const rng random = rng(seed).split(stream_key("normalization"));
  std::vector<double> scores;
  for (std::uint64_t round = 0; scores.size() < samples; ++round) {
    // Steps that training never reaches: their guidelines are not training's.
    const auto whole = sampling.source((std::uint64_t{1} << 32) + round);
    std::vector<double> mine;
    const index_range shards = shards_of_rank(ranks);
    for (std::size_t shard = shards.begin; shard < shards.end; ++shard) {
      const index_range part = shard_range(whole.size(), shard, shard_count(ranks));
      if (part.size() == 0) continue;
      const auto prompts = std::span(whole).subspan(part.begin, part.size());
      const auto scored = sample_and_score(models, prompts, sampling.generation, random.split(round));
      mine.insert(mine.end(), scored.model_scores.begin(), scored.model_scores.end());
    }
    const auto all = ranks.all_gather(std::span<const double>(mine));
    scores.insert(scores.end(), all.begin(), all.end());
  }
  double mean = 0, variance = 0;
  for (const double s : scores) mean += s / static_cast<double>(scores.size());
  for (const double s : scores) variance += (s - mean) * (s - mean) / static_cast<double>(scores.size());
  // Bounded from below, because scores are divided by it and all may be equal.
  return {.mean = mean, .deviation = std::max(std::sqrt(variance), 1e-6)};
}

}  // namespace coho::trainer
