#include "plan/self_align_plan.hpp"

#include <algorithm>

#include "architecture/storage_types.hpp"
#include "files/data_files.hpp"
#include "models/self_align_encoder.hpp"
#include "observe/format.hpp"
#include "plan/memory_plan.hpp"
#include "plan/stage_planner.hpp"

namespace coho::trainer {

context_budget compute_context_budget(const config& options, const self_align_settings& settings, std::size_t prefix,
                                      std::size_t positions) {
  const auto numbers = "the rules and exemplars take " + std::to_string(prefix) + " tokens of the model's " +
                       std::to_string(positions) + " positions";
  if (prefix >= positions)
    throw config_error("self_align.exemplars: " + numbers +
                       "; give fewer or shorter ones, or a model of a longer context");
  const std::size_t left = positions - prefix;
  options.check(settings.generation.max_new_tokens < left, "self_align.max_new_tokens",
                "below " + std::to_string(left) + ", as " + numbers);
  const std::size_t question = left - settings.generation.max_new_tokens;
  return {.prefix = prefix,
          .question = settings.max_question_tokens > 0 ? std::min(question, settings.max_question_tokens) : question,
          .positions = positions};
}

std::optional<context_budget> compute_context_budget(const config& options, const self_align_settings& settings) {
  const auto shape = find_model_config(settings.model);
  if (!shape || !has_tokenizer(settings.model.path)) return std::nullopt;
  const auto tokenizer = load_tokenizer(settings.model.path);
  return compute_context_budget(options, settings, self_align_encoder(*settings.prompt, *tokenizer).prefix().size(),
                                static_cast<std::size_t>(shape->max_position_embeddings));
}

std::string self_align_plan_text(const config& options, const self_align_settings& settings) {
  if (!settings.prompt) return "No figures for the prefix: rules, exemplars or template are missing.";
  const auto budget = compute_context_budget(options, settings);
  if (!budget)
    return "The prefix of all prompts has " + std::to_string(settings.prompt->prefix().size()) +
           " bytes; counting its tokens needs the model's tokenizer and config.json.";
  const auto shape = find_model_config(settings.model);
  const auto width = static_cast<double>(element_bytes(settings.model.compute));
  const double bytes = 2 * width * static_cast<double>(shape->num_hidden_layers) *
                       static_cast<double>(shape->num_key_value_heads * shape->head_dim) *
                       static_cast<double>(budget->prefix);
  return "The prefix of all prompts has " + std::to_string(budget->prefix) + " tokens (" +
         std::to_string(settings.prompt->exemplars().size()) + " exemplars); its keys and values take " +
         format_bytes(bytes) + ", once.\nOf " + std::to_string(budget->positions) + " positions a question may take " +
         std::to_string(budget->question) + ", thoughts and answer " +
         std::to_string(settings.generation.max_new_tokens) + ".";
}

std::function<std::string()> self_align_planner(const config& options, const self_align_settings& settings,
                                                const plan_settings& planned) {
  generation_workload stage{.adapter = settings.adapter,
                            .batch = settings.batch,
                            .query_tokens = settings.max_question_tokens,
                            .max_new_tokens = settings.generation.max_new_tokens,
                            .engine = settings.engine};
  return [options, &settings, planned, stage]() mutable {
    const auto budget = settings.prompt ? compute_context_budget(options, settings) : std::nullopt;
    // Without a tokenizer, four bytes per token.
    stage.prefix_tokens = budget ? budget->prefix : settings.prompt ? settings.prompt->prefix().size() / 4 : 0;
    return self_align_plan_text(options, settings) + "\n\n" + stage_planner(planned, stage)();
  };
}

}  // namespace coho::trainer
