#include "stages/sft.hpp"

#include <coho/error.hpp>
#include <nlohmann/json.hpp>

#include "data/records.hpp"
#include "observe/metrics_log.hpp"
#include "roles/policy_role.hpp"
#include "stages/fit_run.hpp"
#include "stages/fit_settings.hpp"
#include "stages/model_settings.hpp"
#include "stages/plan_text.hpp"
#include "stages/prompting.hpp"
#include "stages/sft_prompts.hpp"
#include "stages/training_run.hpp"

namespace coho::trainer {
namespace {

struct sft_data {
  std::filesystem::path path;
  std::size_t limit, max_response_tokens;
};

sft_data read_data(const config& section) {
  return {section.require<std::filesystem::path>("data", "the file of instructions and responses"),
          section.get<std::size_t>("limit", 0), section.get<std::size_t>("max_response_tokens", 512)};
}

// Example i in the form of prompter i mod n.
std::vector<supervised_example> read_examples(const sft_data& data, const std::vector<prompter>& prompts,
                                              const loaded_model& model) {
  const auto& [path, limit, most] = data;
  std::vector<supervised_example> out;
  for (const auto& record :
       read_records<sft_record>(path, limit > 0 ? limit : std::numeric_limits<std::size_t>::max())) {
    out.push_back(make_supervised_example(record, prompts[out.size() % prompts.size()], model, most));
  }
  return out;
}

// Of a run over so many examples.
fit_settings<supervised_options> read_sft(const config& section, const stage_context& context, std::size_t examples) {
  auto out = read_fit<supervised_options>(section, context, examples, {.batch_size = 32, .learning_rate = 1e-4});
  out.training.micro_batch.tokens = section.get<std::size_t>("micro_batch_tokens", 16384);
  out.training.shuffle = section.get<bool>("shuffle", true);
  return out;
}

}  // namespace

supervised_example make_supervised_example(const sft_record& record, const prompter& prompts, const loaded_model& model,
                                           std::size_t max_response_tokens) {
  supervised_example out{.prompt = prompts.tokens(record.prompt.text()),
                         .response = prompts.response_tokens(record.response),
                         .token_weights = {}};
  if (max_response_tokens > 0 && out.response.size() >= max_response_tokens) {
    // A response that was cut does not end there: no end token to learn.
    out.response.resize(max_response_tokens);
  } else {
    out.response.push_back(model.end_tokens().front());
  }
  return out;
}

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
  auto examples = read_examples(data, prompts, model);
  if (const auto note = cut_note(prompts, forms, examples.size()); !note.empty()) context.log(note);
  train_supervised(model, std::move(examples), options, context);
}

subcommand make_sft_command() {
  return {.name = "sft",
          .help = "supervised fine-tuning on instructions and responses",
          .run = run_sft,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder to go on from"},
                    {"--data", "sft.data", "file of instructions and responses"}},
          .sections = {"model", "sft", "adapter", "prompt", "plan", "distributed"},
          .parallel = true};
}

}  // namespace coho::trainer
