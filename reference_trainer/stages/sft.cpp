#include "stages/sft.hpp"

#include <coho/error.hpp>
#include <nlohmann/json.hpp>

#include "data/records.hpp"
#include "observe/metrics_log.hpp"
#include "roles/policy_role.hpp"
#include "stages/prompting.hpp"
#include "stages/fit_run.hpp"
#include "stages/training_run.hpp"

namespace coho::trainer {
namespace {

std::vector<supervised_example> read_examples(const config& options, const prompter& prompts, const loaded_model& model) {
  const auto path = options.require<std::filesystem::path>("sft.data", "the file of instructions and responses");
  const auto limit = options.get<std::size_t>("sft.limit", 0);
  const auto most = options.get<std::size_t>("sft.max_response_tokens", 512);
  std::vector<supervised_example> out;
  for (const auto& record : read_records<sft_record>(path, limit > 0 ? limit : std::numeric_limits<std::size_t>::max())) {
    supervised_example example{.prompt = prompts.tokens(record.prompt.text()), .response = {}, .token_weights = {}};
    for (const token id : model.tokenizer->encode(record.response)) example.response.push_back(id);
    if (most > 0 && example.response.size() >= most) {
      // A response that was cut does not end there: no end token to learn.
      example.response.resize(most);
    } else {
      example.response.push_back(model.end_tokens().front());
    }
    out.push_back(std::move(example));
  }
  return out;
}

}  // namespace

void train_supervised(loaded_model& model, std::vector<supervised_example> examples, const config& options, stage_context& context) {
  const config section = options.section("sft");
  supervised_options settings;
  settings.batch_size = section.get<std::size_t>("batch_size", 32);
  section.check(settings.batch_size > 0, "batch_size", "at least 1");
  settings.epochs = section.get<std::uint64_t>("epochs", 1);
  settings.micro_batch.tokens = section.get<std::size_t>("micro_batch_tokens", 16384);
  settings.gradient_norm_clip = section.get<double>("gradient_norm_clip", 1.0);
  settings.shuffle = section.get<bool>("shuffle", true);
  settings.seed = context.seed;
  const std::uint64_t steps = settings.epochs * ((examples.size() + settings.batch_size - 1) / settings.batch_size);
  settings.learning_rate = read_learning_rate(section, 1e-4, steps);
  const adamw_options optimizer_options = read_adamw(section);
  const auto save_every = section.get<std::uint64_t>("save_every", 0);
  const auto keep = section.get<std::size_t>("keep", 1);
  const auto out = context.out_or("sft");

  parameter_set& parameters = model.bank->train("policy");
  adamw optimizer(parameters, optimizer_options);
  policy_role policy(*model.bank, "policy");
  supervised_trainer trainer(policy, optimizer, settings);
  if (finished_before(options, context, out) || !context.begin(options, out)) return;
  use_threads(context);
  training_checkpoints checkpoints(out / "checkpoints", save_every, keep);
  checkpoints.add("policy", parameters, optimizer);
  fit_run run(trainer, context, checkpoints, out, "sft", steps, [](const supervised_statistics& s, metrics_log& log) {
    log.scalars(static_cast<std::int64_t>(s.step), {{"loss", s.loss}, {"gradient_norm", s.gradient_norm}, {"learning_rate", s.learning_rate},
                                                    {"tokens_per_second", static_cast<double>(s.tokens) / s.seconds}});
    return "loss " + std::to_string(s.loss).substr(0, 6);
  });
  trainer.fit(std::span<const supervised_example>(examples), run);
  save_role(model, "policy", out);
  checkpoints.remove();
  run.finish(out.string());
}

void run_sft(const config& options, stage_context& context) {
  loaded_model model = load_model(options);
  start_role(model, "policy", options.get<std::filesystem::path>("model.adapter", {}), options, rng(context.seed).split(stream_key("adapter")));
  const prompter prompts(options, model);
  train_supervised(model, read_examples(options, prompts, model), options, context);
}

subcommand make_sft_command() {
  return {.name = "sft",
          .help = "supervised fine-tuning on instructions and responses",
          .run = run_sft,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    {"--adapter", "model.adapter", "folder to go on from"},
                    {"--data", "sft.data", "file of instructions and responses"}},
          .sections = {"model", "sft", "adapter", "prompt"}};
}

}  // namespace coho::trainer
