#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
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

/// The form of a shipped question.
enum class question_form : std::uint8_t { plain, dromedary };
constexpr auto option_names(question_form) { return std::array{"plain", "dromedary"}; }

/// The wording of an evaluation's question: `eval.template`, a path or a shipped name, else the shipped one in
/// the form of `eval.wording`: "plain" text, or "dromedary", a conversation in that chat format that a tuned
/// model's answer ends, which is the default of recipes whose prompt.format it is.
struct wording_options {
  question_form wording = question_form::plain;
  std::filesystem::path template_name{};

  /// The defaults under a recipe: `dromedary` if that is its prompt.format.
  static wording_options defaults(const config& options);
  static void describe(auto&& visit, auto&... o) {
    visit(otherwise("dromedary where prompt.format is; else plain",
                    {"wording", "of the shipped question: text, or a conversation in that chat format"}),
          o.wording...);
    visit(otherwise("shipped", {"template", "the question's wording: a path or a shipped name"}), o.template_name...);
  }
};
/// The file of these options: `name` is the shipped wording without its form ("hhh"). Throws config_error if the recipe
/// gives an empty template.
std::filesystem::path read_wording_file(const config& options, const std::string& name);

/// choice_log_odds by a judge, `batch` prompts at a time: log p(first) − log p(second) as each prompt's continuation.
/// `advance` receives the number of prompts done; interruptions take effect between batches.
choice_log_odds judge_log_odds(judge_role& judge, std::string first, std::string second, std::size_t batch,
                               stage_context& context, std::function<void(std::size_t)> advance);

}  // namespace coho::trainer
