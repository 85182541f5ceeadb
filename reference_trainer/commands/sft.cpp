#include <algorithm>
#include <string>

#include <coho/error.hpp>
#include <nlohmann/json.hpp>

#include "commands/commands.hpp"
#include "datasets/sft_data.hpp"
#include "jsonl/record_losses.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "models/sft_prompts.hpp"
#include "models/supervised_examples.hpp"
#include "observe/metrics_log.hpp"
#include "plan/plan_text.hpp"
#include "records/records.hpp"
#include "roles/policy_role.hpp"
#include "run/fit_run.hpp"
#include "run/training_run.hpp"
#include "settings/fit_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {
namespace {

struct sft_data {
  sft_data_settings files;
  std::size_t max_response_tokens;
  trained_replies replies;
};

sft_data read_data(const config& section) {
  const auto replies = section.choice("replies", "all", {"all", "last", "first"});
  return {read_sft_data(section), section.get<std::size_t>("max_response_tokens", 512),
          replies == "all"    ? trained_replies::all
          : replies == "last" ? trained_replies::last
                              : trained_replies::first};
}

// Example i in the form of prompter i mod n.
std::vector<supervised_example> read_examples(const sft_data& data, const std::vector<prompter>& prompts) {
  std::vector<supervised_example> out;
  std::size_t number = 0;
  for (const auto& record : load_sft_records(data.files)) {
    const prompter& form = prompts[number++ % prompts.size()];
    out.push_back(make_supervised_example(record, form, data.max_response_tokens, data.replies));
    if (!out.back().response.empty()) continue;
    out.pop_back();
    record_losses::of_run().add("no reply with a weight above 0; left out", record.prompt.text() + record.response);
  }
  if (out.empty()) throw file_error(data.files.files.front().string(), "", "holds no reply with a weight above 0");
  return out;
}

// Of a run over so many examples.
fit_settings<supervised_options> read_sft(const config& section, const stage_context& context, std::size_t examples) {
  auto out = read_fit<supervised_options>(section, context, examples, {.batch_size = 32, .learning_rate = 1e-4});
  out.training.micro_batch.tokens = section.get<std::size_t>("micro_batch_tokens", 16384);
  out.training.shuffle = section.get<bool>("shuffle", true);
  return out;
}

// Trains the role "policy" of a model on examples as the section "sft" says, with checkpoints, metrics and progress,
// and saves it to the context's output folder.
void train_supervised(loaded_model& model, std::vector<supervised_example> examples, const config& options,
                      stage_context& context) {
  const auto [settings, optimizer_options, steps, save_every, keep] =
      read_sft(options.section("sft"), context, examples.size());
  const auto out = context.out_or("sft");

  parameter_set& parameters = model.bank->train("policy");
  adamw optimizer(parameters, optimizer_options);
  policy_role policy(*model.bank, "policy");
  supervised_trainer trainer(policy, optimizer, settings, *context.ranks);
  if (finished_before(options, context, out) || !context.begin(options, out)) return;
  use_threads(context);
  training_checkpoints checkpoints(out / "checkpoints", save_every, keep, context.ranks);
  checkpoints.add("policy", parameters, optimizer);
  fit_run run(trainer, context, checkpoints, out, "sft", steps, [](const supervised_statistics& s, metrics_log& log) {
    log.scalars(static_cast<std::int64_t>(s.step), {{"loss", s.loss},
                                                    {"gradient_norm", s.gradient_norm},
                                                    {"learning_rate", s.learning_rate},
                                                    {"tokens_per_second", static_cast<double>(s.tokens) / s.seconds}});
    return "loss " + std::to_string(s.loss).substr(0, 6);
  });
  trainer.fit(std::span<const supervised_example>(examples), run);
  if (context.ranks->first()) save_role(model, "policy", out);
  checkpoints.remove();
  run.finish(out.string());
}

}  // namespace

void run_sft(const config& options, stage_context& context) {
  const sft_data data = read_data(options.section("sft"));
  const std::vector<prompt_settings> forms = read_sft_prompts(options);
  join_ranks(options, context, context.out_or("sft"));
  const auto adapter = options.get<std::filesystem::path>("model.adapter", {});
  check_output(context.out_or("sft"), {read_model_settings(options).path, adapter});
  read_sft(options.section("sft"), context, 1);
  const auto plan = plan_sft(options, context);
  options.check_unknown();
  if (context.dry_run) return context.rehearse(options, plan);
  loaded_model model = load_model(options);
  start_role(model, "policy", adapter, options, rng(context.seed).split(stream_key("adapter")));
  const auto prompts = make_prompters(forms, model);
  auto examples = read_examples(data, prompts);
  if (const auto note = cut_note(prompts, forms, examples.size()); !note.empty()) context.log(note);
  // Before hours of training, not after them.
  for (const auto& line : record_losses::of_run().take_lines()) context.log(line);
  train_supervised(model, std::move(examples), options, context);
}

subcommand make_sft_command() {
  return {.name = "sft",
          .help = "supervised fine-tuning on instructions and responses",
          .run = run_sft,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder to go on from"},
                    {.name = "--data",
                     .key = "sft.data",
                     .help = "file of instructions and responses, or \"identity\"; may be repeated",
                     .repeatable = true}},
          .sections = {"model", "sft", "adapter", "prompt", "plan", "distributed"},
          .parallel = true};
}

}  // namespace coho::trainer
