#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include <coho/generation.hpp>

#include "config/column_option.hpp"
#include "config/config.hpp"
#include "config/recipe_option.hpp"

namespace coho::trainer {

/// The section `ppo.evaluation`; without `prompts` a run is not evaluated.
struct ppo_evaluation_settings {
  std::filesystem::path prompts{};  ///< held out
  column_choice columns{};          ///< of the prompts
  std::uint64_t every = 10;         ///< updates; before the first and after the last one always
  std::size_t limit = 256;          ///< prompts, the first of the file
  std::size_t samples = 4;          ///< responses shown on the terminal and in TensorBoard
  /// Responses scored under each principle separately: this many scores per principle.
  std::size_t principle_prompts = 64;
  double temperature = 1;  ///< 0: greedy
  std::size_t max_new_tokens = 256;
  bool keep_best = true;
  std::uint64_t patience = 0;  ///< evaluations without a better reward after which the run ends; 0: never

  static void describe(auto&& visit, auto&... o) {
    visit({"prompts", "file of held-out prompts; without it a run is not evaluated"}, o.prompts...);
    visit(otherwise("ppo.columns", {columns_option.name, columns_option.meaning}), o.columns...);
    visit(
        {"every", "steps between two evaluations; one is always before the first step and after the last", {}, "steps"},
        o.every...);
    visit({"limit", "number of prompts used, from the start of the file", allowed::count(), "prompts"}, o.limit...);
    visit({"samples", "number of responses shown on the terminal and in TensorBoard", {}, "responses"}, o.samples...);
    visit({"principle_prompts", "number of responses scored under each principle by itself", {}, "responses"},
          o.principle_prompts...);
    visit(otherwise("generation.temperature",
                    {"temperature", "temperature of sampling; 0: greedy", allowed::at_least(0)}),
          o.temperature...);
    visit(otherwise("generation.max_new_tokens",
                    {"max_new_tokens", "length limit of a response", allowed::count(), "tokens"}),
          o.max_new_tokens...);
    visit({"keep_best", "whether the policy of the best reward is kept in best/"}, o.keep_best...);
    visit({"patience", "number of evaluations without a better reward that ends the run; 0: never"}, o.patience...);
  }
  /// Throws config_error for columns under names that are not read.
  void check_constraints(const config& section) const;
  /// Whether a run is evaluated.
  bool enabled() const { return !prompts.empty(); }
};
/// Of the section "ppo"; temperature and length are those of training unless the section says otherwise, as
/// are the columns. Throws config_error.
ppo_evaluation_settings read_ppo_evaluation_settings(const config& section, const generation_options& training,
                                                     const column_choice& columns);

}  // namespace coho::trainer
