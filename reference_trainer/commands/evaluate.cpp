#include <array>
#include <string>
#include <utility>
#include <vector>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "evaluation/evaluate_hhh.hpp"
#include "evaluation/evaluate_preferences.hpp"
#include "evaluation/evaluate_truthfulqa.hpp"
#include "settings/model_settings.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {
namespace {

enum class evaluation_kind { preferences, pairs, hhh, truthfulqa };
constexpr auto option_names(evaluation_kind) { return std::array{"preferences", "pairs", "hhh", "truthfulqa"}; }

struct evaluation_choice {
  evaluation_kind kind = evaluation_kind::preferences;

  static void describe(auto&& visit, auto&... o) {
    visit({"kind", "what is measured; pairs: the former name of preferences"}, o.kind...);
  }
};

// The keys of all kinds, with a column for each.
option_section evaluation_section() {
  option_section out = section_options("eval", evaluation_choice{});
  const std::vector<std::pair<std::string, option_section>> kinds{
      {"preferences", preferences_section()}, {"hhh", hhh_section()}, {"truthfulqa", truthfulqa_section()}};
  const option_section joined = joined_section(kinds);
  out.presets = joined.presets;
  for (auto option : joined.options) {
    option.meaning.clear();
    for (const auto& [kind, section] : kinds) {
      const auto* own = section.find(option.key);
      if (own != nullptr && option.meaning.find(own->meaning) == std::string::npos)
        option.meaning += (option.meaning.empty() ? "" : "; " + kind + ": ") + own->meaning;
    }
    out.options.push_back(std::move(option));
  }
  return out;
}

void run_evaluate(const config& options, stage_context& context) {
  const config section = options.section("eval");
  const auto kind = read_section<evaluation_choice>(section).kind;
  // One recipe for all kinds.
  mention_options<wording_options>(section, {"wording"});
  mention_options<reward_lengths>(section.section("reward_prompt"), {"query_tokens", "response_tokens"});
  if (kind == evaluation_kind::hhh) {
    evaluate_hhh(options, context);
  } else if (kind == evaluation_kind::truthfulqa) {
    evaluate_truthfulqa(options, context);
  } else {
    evaluate_preferences(options, context);  // "pairs" is its former name
  }
}

}  // namespace

subcommand make_eval_command() {
  return {
      .name = "eval",
      .help =
          "measure a model: eval preferences (a reward model's accuracy), eval hhh (BIG-bench HHH), "
          "eval truthfulqa (MC1)",
      .run = run_evaluate,
      .flags =
          {{"kind", "eval.kind", "preferences (or pairs, the same), hhh or truthfulqa"},
           {.name = "--data",
            .key = "eval.data",
            .help =
                "preference file, repeatable (preferences); task.json or its folder (hhh); mc_task.json (truthfulqa)",
            .repeatable = true},
           {"-m,--model", "model.path"},
           {"--adapter", "eval.adapter", "hhh, truthfulqa: adapter or trained model that is asked"},
           {"--reward-model", "eval.reward_model", "preferences: folder of a trained reward model"},
           {"--reward-template", "reward_prompt.template", "preferences: template of records with principles"},
           {"--plain-template", "reward_prompt.plain_template", "preferences: template of records without"},
           {"--template", "eval.template", "hhh, truthfulqa: wording of the question"},
           {"--wording", "eval.wording", "hhh, truthfulqa: plain, or dromedary, the shipped wording in that chat form"},
           {"--first-half", "eval.first_half",
            "truthfulqa: only the first half of a question's answers, as the released script", "true"},
           {"--limit", "eval.limit", "first records only"}},
      .options = {model_section(), evaluation_section(), section_options("reward_prompt", reward_prompt_options{})},
      .group = "Use"};
}

}  // namespace coho::trainer
