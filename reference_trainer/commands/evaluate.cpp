#include <array>
#include <map>
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
    visit({"kind", "benchmark; pairs: the former name of preferences"}, o.kind...);
  }
};

// The keys of the section `eval` by the kind that reads them.
std::vector<std::pair<std::string, option_section>> sections_by_kind() {
  return {{"preferences", preferences_section()}, {"hhh", hhh_section()}, {"truthfulqa", truthfulqa_section()}};
}

// The keys of all kinds as one section, with a column of defaults for each kind where they differ.
option_section evaluation_section() {
  option_section out = section_options("eval", evaluation_choice{});
  const auto kinds = sections_by_kind();
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

// One recipe serves all kinds: each knows the others' keys, and checks their values.
void allow_all_kinds(const config& options) {
  std::map<std::string, shared_key> keys;
  for (const auto& [kind, section] : sections_by_kind())
    for (const auto& option : section.options) {
      auto& known = keys[option.key];
      known.readers += (known.readers.empty() ? "eval " : ", eval ") + kind;
      known.check = [option](const config& recipe) { option.check(recipe, option.key, option.range); };
    }
  options.allow_keys(keys);
}

// Hands over to the evaluation that eval.kind names.
void run_evaluate(const config& options, stage_context& context) {
  const auto kind = read_section<evaluation_choice>(options.section("eval")).kind;
  allow_all_kinds(options);
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
