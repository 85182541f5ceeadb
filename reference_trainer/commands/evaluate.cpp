#include <ATen/Parallel.h>

#include "commands/commands.hpp"
#include "evaluation/evaluate_hhh.hpp"
#include "evaluation/evaluate_preferences.hpp"
#include "evaluation/evaluate_truthfulqa.hpp"
#include "run/output_file.hpp"

namespace coho::trainer {
namespace {

void run_evaluate(const config& options, stage_context& context) {
  const auto kind = options.choice("eval.kind", "preferences", {"preferences", "pairs", "hhh", "truthfulqa"});
  at::set_num_threads(static_cast<int>(context.threads));
  // One recipe for all kinds.
  options.mention({"eval.wording", "eval.reward_prompt.query_tokens", "eval.reward_prompt.response_tokens"});
  if (!context.dry_run) make_folder_of(context.out);  // ahead of what may take hours
  if (kind == "hhh") {
    evaluate_hhh(options, context);
  } else if (kind == "truthfulqa") {
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
           {"-m,--model", "model.path", "folder of the base model"},
           {"--adapter", "eval.adapter", "hhh, truthfulqa: adapter or trained model that is asked"},
           {"--reward-model", "eval.reward_model", "preferences: folder of a trained reward model"},
           {"--reward-template", "reward_prompt.template", "preferences: template of records with principles"},
           {"--plain-template", "reward_prompt.plain_template", "preferences: template of records without"},
           {"--template", "eval.template", "hhh, truthfulqa: wording of the question"},
           {"--wording", "eval.wording", "hhh, truthfulqa: plain, or dromedary, the shipped wording in that chat form"},
           {"--first-half", "eval.first_half",
            "truthfulqa: only the first half of a question's answers, as the released script", "true"},
           {"--limit", "eval.limit", "first records only"}},
      .sections = {"model", "eval", "reward_prompt"},
      .group = "Use"};
}

}  // namespace coho::trainer
