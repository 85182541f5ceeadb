#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <coho/principle/guideline.hpp>
#include <coho/principle/intervention.hpp>
#include <coho/rollout/trajectory.hpp>

#include "config/column_option.hpp"
#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "models/prompter.hpp"
#include "records/records.hpp"
#include "run/stage_context.hpp"

namespace coho::trainer {

/// What happens to prompts longer than prompt.max_tokens.
enum class long_prompts : std::uint8_t { drop, cut };
constexpr auto option_names(long_prompts) { return std::array{"drop", "cut"}; }

/// The keys of the prompts in the section `ppo`.
struct rl_prompt_options {
  std::filesystem::path prompts{};
  column_choice columns{};
  long_prompts long_ones = long_prompts::drop;

  static void describe(auto&& visit, auto&... o) {
    visit(required({"prompts", "file of prompts"}), o.prompts...);
    visit(columns_option, o.columns...);
    visit({"long_prompts", "what happens to prompts longer than prompt.max_tokens"}, o.long_ones...);
  }
  /// Throws config_error for columns under names that are not read.
  void check_constraints(const config& section) const { check_columns(section, columns, prompt_columns); }
};

/// The keys of the guideline in the section `ppo`.
struct guideline_options {
  std::filesystem::path principles{}, interventions{};
  std::vector<std::string> use_interventions{};
  std::size_t principles_per_prompt = 3;
  intervention_position position = intervention_position::first;

  static void describe(auto&& visit, auto&... o) {
    visit({"principles", "file of principles, or a shipped one"}, o.principles...);
    visit({"principles_per_prompt", "number of principles drawn for a prompt", {}, "principles"},
          o.principles_per_prompt...);
    visit({"interventions", "file of interventions, or a shipped one"}, o.interventions...);
    visit(otherwise("all", {"use_interventions", "names of the interventions that are used"}), o.use_interventions...);
    visit({"intervention_position", "place of the interventions among the principles"}, o.position...);
  }
  /// Throws config_error for keys of interventions where there are none.
  void check_constraints(const config& section) const;
};

/// Draws the guideline of each prompt and step; nothing without ppo.principles and ppo.interventions.
class guideline_source {
 public:
  /// `dry_run`: missing files are ignored. Throws file_error otherwise, and config_error for an unknown name in
  /// `use_interventions`.
  explicit guideline_source(const guideline_options& options, bool dry_run = false);
  /// The guideline of one prompt in one step: `step` is the step's generator, `prompt_key` the prompt's number in it.
  std::vector<std::string> operator()(prompt_type type, const rng& step, std::uint64_t prompt_key) const;
  /// Whether any guideline is drawn.
  bool any() const { return composer_.has_value() || interventions_.size() > 0; }
  /// The principles drawn from; empty without ppo.principles.
  std::vector<principle> principles() const {
    return composer_ ? composer_->sampler().principles() : std::vector<principle>();
  }
  const intervention_set& interventions() const { return interventions_; }

 private:
  std::optional<guideline_composer> composer_;
  intervention_set interventions_;
};

/// The prompts to train on: those longer than prompt.max_tokens are dropped with `drop`, as in the released code;
/// otherwise they stay, and `prompter::tokens` cuts them. Either is counted and logged. Throws file_error, naming
/// `file`, when none is left.
std::vector<prompt_record> handle_long_prompts(std::vector<prompt_record> records, const prompter& prompts, bool drop,
                                               const std::filesystem::path& file, stage_context& context);

/// The prompts of a file, or the first `limit`, after `handle_long_prompts`. Throws file_error.
std::vector<prompt_record> read_rl_prompts(const rl_prompt_options& options, const prompter& prompts,
                                           stage_context& context,
                                           std::size_t limit = std::numeric_limits<std::size_t>::max());

/// A record as PPO takes it: its tokens, its text for the reward model, and the guideline. `key` seeds its sampling.
rl_prompt to_rl_prompt(const prompt_record& record, const prompter& prompts, std::vector<std::string> guideline,
                       std::uint64_t key);

/// The prompts of each PPO step: a fresh shuffle of all of them in each pass.
class rl_prompt_source {
 public:
  /// `rollouts`: responses per step, `samples_per_prompt` of each prompt. Throws `option_error` as `check_sizes` does.
  rl_prompt_source(std::vector<prompt_record> records, const prompter& prompts, guideline_source guidelines,
                   std::size_t rollouts, std::size_t samples_per_prompt, std::uint64_t seed);
  /// The prompts of a step, each repeated for its samples; the same for the same step and seed.
  std::vector<rl_prompt> operator()(std::uint64_t step) const;
  /// Throws `option_error`: samples at least 1, rollouts a multiple of them.
  static void check_sizes(std::size_t rollouts, std::size_t samples_per_prompt);

 private:
  std::vector<prompt_record> records_;
  const prompter* prompts_;
  guideline_source guidelines_;
  std::size_t rollouts_, samples_;
  rng random_;
};

}  // namespace coho::trainer
