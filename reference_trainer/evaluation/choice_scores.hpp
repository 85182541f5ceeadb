#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "roles/judge_role.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// Log-odds of one continuation against another, one number per prompt.
using choice_log_odds = std::function<std::vector<double>(std::span<const std::string>)>;

/// How often the highest-scoring answer was a right one.
struct choice_count {
  std::size_t items = 0, right = 0;
  double accuracy() const { return items == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(items); }
  /// Standard error of the accuracy for independent items: √(p(1 − p)/n).
  double standard_error() const {
    return items == 0 ? 0.0 : std::sqrt(accuracy() * (1.0 - accuracy()) / static_cast<double>(items));
  }
};
/// {items, right, accuracy, standard_error}.
nlohmann::json to_json(const choice_count& count);

/// The answer that a judge chose, and whether others had the same score.
struct choice {
  std::size_t index = 0;
  bool tied = false;
};
/// The answer with the highest score; among equals one drawn from them in the order of their texts by rng(seed,
/// question), so that neither an answer's place in the file nor in the prompt is favoured. Throws argument_error when
/// there are none.
choice best_choice(std::span<const double> scores, std::span<const std::string_view> answers, std::string_view question,
                   std::uint64_t seed);

/// choice_log_odds by a judge, `batch` prompts at a time: log p(first) − log p(second) as each prompt's continuation.
/// `advance` receives the number of prompts done; interruptions take effect between batches.
choice_log_odds judge_log_odds(judge_role& judge, std::string first, std::string second, std::size_t batch,
                               stage_context& context, std::function<void(std::size_t)> advance);

}  // namespace coho::trainer
