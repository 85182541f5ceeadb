#include "stages/evaluate.hpp"

#include <ATen/Parallel.h>

#include "stages/evaluate_hhh.hpp"
#include "stages/evaluate_pairs.hpp"
#include "stages/evaluate_truthfulqa.hpp"

namespace coho::trainer {
namespace {

void run_evaluate(const config& options, stage_context& context) {
  const auto kind = options.choice("eval.kind", "pairs", {"pairs", "hhh", "truthfulqa"});
  at::set_num_threads(static_cast<int>(context.threads));
  if (kind == "hhh") {
    evaluate_hhh(options, context);
  } else if (kind == "truthfulqa") {
    evaluate_truthfulqa(options, context);
  } else {
    evaluate_pairs(options, context);
  }
}

}  // namespace

subcommand make_eval_command() {
  return {
      .name = "eval",
      .help =
          "measure a model: eval pairs (a reward model's accuracy), eval hhh (BIG-bench HHH), eval truthfulqa (MC1)",
      .run = run_evaluate,
      .flags = {{"kind", "eval.kind", "pairs, hhh or truthfulqa"},
                {"--data", "eval.data",
                 "preference file (pairs), task.json or its folder (hhh), mc_task.json (truthfulqa)"},
                {"-m,--model", "model.path", "folder of the base model"},
                {"--adapter", "eval.adapter", "hhh, truthfulqa: adapter or trained model that is asked"},
                {"--reward-model", "eval.reward_model", "pairs: folder of a trained reward model"},
                {"--reward-template", "reward_prompt.template", "pairs: template of records with principles"},
                {"--plain-template", "reward_prompt.plain_template", "pairs: template of records without"},
                {"--template", "eval.template", "hhh, truthfulqa: wording of the question"},
                {"--first-half", "eval.first_half",
                 "truthfulqa: only the first half of a question's answers, as the released script", "true"},
                {"--limit", "eval.limit", "first records only"}},
      .sections = {"model", "eval", "reward_prompt"},
      .group = "Use"};
}

}  // namespace coho::trainer
