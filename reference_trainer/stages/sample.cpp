#include "stages/sample.hpp"

#include <coho/error.hpp>
#include <nlohmann/json.hpp>

#include "data/records.hpp"
#include "roles/policy_role.hpp"
#include "stages/model_files.hpp"
#include "stages/model_settings.hpp"
#include "stages/prompting.hpp"
#include "stages/training_run.hpp"

namespace coho::trainer {

void run_sample(const config& options, stage_context& context) {
  const auto prompts_path = options.require<std::filesystem::path>("sample.prompts", "the file of prompts");
  const auto responses = options.get<std::size_t>("sample.responses", 2);
  const auto batch = options.get<std::size_t>("sample.batch", 64);
  options.check(responses > 0, "sample.responses", "at least 1");
  options.check(batch > 0, "sample.batch", "at least 1");
  const auto adapter = options.get<std::filesystem::path>("model.adapter", {});
  const auto out = context.out_or("samples.jsonl");
  const prompt_settings prompting = read_prompt_settings(options);
  const generation_options generation =
      read_generation(options, prompting.stop, {.max_new_tokens = 256, .temperature = 0.7});
  const engine_options engine = read_engine(options);
  read_model_settings(options);
  if (context.dry_run) return context.rehearse(options);
  loaded_model model = load_model(options);
  load_role(model, "policy", adapter);
  const prompter prompts(prompting, model);
  if (!context.begin(options)) return;
  use_threads(context);
  const auto records = read_records<prompt_record>(prompts_path);

  policy_role policy(*model.bank, "policy",
                     {.temperature = generation.temperature > 0 ? generation.temperature : 1.0,
                      .banned = model.never_sampled(),
                      .end_tokens = model.end_tokens(),
                      .token_texts = model.token_texts(),
                      .engine = engine});
  jsonl_writer writer(out, context.resume);
  auto bar = context.start_progress("sample", records.size(), "prompts");
  bar.start_at(writer.count());
  const rng root = rng(context.seed).split(stream_key("sample"));
  while (writer.count() < records.size()) {
    context.stop_if_interrupted();
    // A batch of which a part is written already is sampled as a whole again: probabilities differ in their last digits
    // with the batch, and a draw may fall between.
    const std::size_t done = writer.count(), first = done - done % batch,
                      last = std::min(records.size(), first + batch);
    packed<token> tokens;
    std::vector<rng> streams;
    for (std::size_t i = first; i < last; ++i) {
      const auto ids = prompts.tokens(records[i].text());
      for (std::size_t k = 0; k < responses; ++k) {
        tokens.push_back(ids);
        streams.push_back(root.split(i).split(k));
      }
    }
    const coho::generation sampled = policy.generate(tokens, generation, streams);
    for (std::size_t i = done; i < last; ++i) {
      sample_record record{.prompt = records[i], .responses = {}, .finished = {}};
      for (std::size_t k = 0; k < responses; ++k) {
        const std::size_t at = (i - first) * responses + k;
        record.responses.push_back(prompts.response_text(sampled.responses[at]));
        record.finished.push_back(sampled.finished[at] != 0);
      }
      writer.write(to_json(record));
    }
    bar.count("tokens", static_cast<double>(sampled.responses.total()));
    bar.advance(last - done);
  }
  writer.finish();
  bar.finish(out.string());
}

subcommand make_sample_command() {
  return {.name = "sample",
          .help = "sample responses to prompts from a policy",
          .run = run_sample,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder of the policy: an adapter or a checkpoint"},
                    {"--prompts", "sample.prompts", "file of prompts"},
                    {"-n,--responses", "sample.responses", "responses a prompt"},
                    {"--max-tokens", "generation.max_new_tokens", "most tokens of a response"},
                    {"--temperature", "generation.temperature", "sampling temperature"}},
          .sections = {"model", "sample", "generation", "prompt"}};
}

}  // namespace coho::trainer
