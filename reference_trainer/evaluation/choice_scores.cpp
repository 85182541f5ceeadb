#include "evaluation/choice_scores.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/rng.hpp>

namespace coho::trainer {

nlohmann::json to_json(const choice_count& count) {
  return {{"items", count.items},
          {"right", count.right},
          {"accuracy", count.accuracy()},
          {"standard_error", count.standard_error()}};
}

choice best_choice(std::span<const double> scores, std::span<const std::string_view> answers, std::string_view question,
                   std::uint64_t seed) {
  require_argument(!scores.empty() && scores.size() == answers.size(), "choice: one score per answer is needed");
  const double highest = *std::ranges::max_element(scores);
  std::vector<std::size_t> best;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (scores[i] == highest) best.push_back(i);
  std::ranges::stable_sort(best, {}, [&](std::size_t i) { return answers[i]; });
  return {.index = best[rng(seed, stream_key(question)).index(best.size())], .tied = best.size() > 1};
}

choice_log_odds judge_log_odds(judge_role& judge, std::string first, std::string second, std::size_t batch,
                               stage_context& context, std::function<void(std::size_t)> advance) {
  return [&judge, &context, first = std::move(first), second = std::move(second), batch,
          advance = std::move(advance)](std::span<const std::string> prompts) {
    std::vector<double> out;
    for (std::size_t from = 0; from < prompts.size(); from += batch) {
      const auto part = judge.log_odds(prompts.subspan(from, std::min(batch, prompts.size() - from)), first, second);
      out.insert(out.end(), part.begin(), part.end());
      advance(part.size());
      context.stop_if_interrupted();
    }
    return out;
  };
}

}  // namespace coho::trainer
