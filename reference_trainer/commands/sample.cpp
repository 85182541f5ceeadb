#include <algorithm>
#include <utility>

#include <coho/error.hpp>
#include <coho/reward/empty_response.hpp>
#include <nlohmann/json.hpp>

#include "commands/commands.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "plan/plan_text.hpp"
#include "records/records.hpp"
#include "roles/policy_role.hpp"
#include "run/output_file.hpp"
#include "run/training_run.hpp"
#include "settings/generation_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {
namespace {

// Tokens that a template or chat format puts in front of every prompt; fewer than these cost nothing to read again.
constexpr std::size_t shortest_prefix = 16;

struct prompt_survey {
  std::size_t prompts = 0;
  std::vector<token> shared;  ///< what all begin with
};

// A first pass over the file, in constant memory: it also says what is wrong with the last line before the first hour's
// work.
prompt_survey survey(const std::filesystem::path& path, const prompter& prompts, const stage_context& context) {
  prompt_survey out;
  record_reader<prompt_record> reader(path);
  for (prompt_record record; reader.next(record);) {
    context.stop_if_interrupted();
    auto ids = prompts.tokens(record.messages());
    if (out.prompts++ == 0) {
      out.shared = std::move(ids);
    } else {
      out.shared.erase(std::ranges::mismatch(out.shared, ids).in1, out.shared.end());
    }
  }
  if (out.shared.size() < shortest_prefix) out.shared.clear();
  return out;
}

}  // namespace

void run_sample(const config& options, stage_context& context) {
  const auto prompts_path = options.require<std::filesystem::path>("sample.prompts", "the file of prompts");
  const auto responses = options.get<std::size_t>("sample.responses", 2);
  const auto batch = options.get<std::size_t>("sample.batch", 64);
  options.check(responses > 0, "sample.responses", "at least 1");
  options.check(batch > 0, "sample.batch", "at least 1");
  const auto adapter = options.get<std::filesystem::path>("model.adapter", {});
  const auto out = context.out_or("samples.jsonl");
  refuse_same_file("out", out, {prompts_path});
  const prompt_settings prompting = read_prompt_settings(options, "sample", false);
  generation_options generation = read_generation(options, prompting.stop, {.max_new_tokens = 256, .temperature = 0.7});
  // Of its own where one recipe is for `ppo` too: what is compared need not be as long as what is trained.
  generation.max_new_tokens = options.get<std::size_t>("sample.max_new_tokens", generation.max_new_tokens);
  options.check(generation.max_new_tokens > 0, "sample.max_new_tokens", "at least 1");
  engine_options engine = read_engine(options);
  engine.slots = options.get<std::int64_t>("sample.slots", engine.slots);
  options.check(engine.slots > 0, "sample.slots", "at least 1");
  read_model_settings(options);
  const auto plan = plan_generation(options,
                                    {.adapter = adapter,
                                     .batch = batch,
                                     .responses = responses,
                                     .query_tokens = prompting.max_tokens,
                                     .max_new_tokens = generation.max_new_tokens,
                                     .engine = engine},
                                    context);
  if (context.dry_run) return context.rehearse(options, plan);
  loaded_model model = load_model(options);
  load_role(model, "policy", adapter);
  const prompter prompts(prompting, model);
  if (!context.begin(options)) return;
  use_threads(context);
  jsonl_writer writer(out, context.resume);
  if (writer.finished()) {
    context.log(out.string() + " is complete: nothing to do");
    return;
  }
  auto all = survey(prompts_path, prompts, context);
  if (const auto note = cut_note(prompts.cut(), prompting, all.prompts); !note.empty()) context.log(note);

  policy_role policy(*model.bank, "policy",
                     {.temperature = generation.temperature > 0 ? generation.temperature : 1.0,
                      .banned = model.never_sampled(),
                      .end_tokens = model.end_tokens(),
                      .token_texts = model.token_texts(),
                      .engine = engine,
                      .shared_prefix = std::move(all.shared)});
  auto bar = context.start_progress("sample", all.prompts, "prompts");
  bar.start_at(writer.count());
  std::size_t sampled_now = 0, empty = 0;
  const rng root = rng(context.seed).split(stream_key("sample"));
  // A batch of which a part is written already is sampled as a whole again: probabilities differ in their last digits
  // with the batch, and a draw may fall between.
  const std::size_t done = writer.count(), first = done - done % batch;
  record_reader<prompt_record> reader(prompts_path);
  std::vector<prompt_record> records;
  const auto flush = [&] {
    const std::size_t begin = reader.kept() - records.size();
    packed<token> tokens;
    std::vector<rng> streams;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto ids = prompts.tokens(records[i].messages());
      for (std::size_t k = 0; k < responses; ++k) {
        tokens.push_back(ids);
        streams.push_back(root.split(begin + i).split(k));
      }
    }
    const coho::generation sampled = policy.generate(tokens, generation, streams);
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (begin + i < done) continue;
      sample_record record{.prompt = std::move(records[i]), .responses = {}, .finished = {}};
      for (std::size_t k = 0; k < responses; ++k) {
        const std::size_t at = i * responses + k;
        record.responses.push_back(prompts.response_text(sampled.responses[at]));
        record.finished.push_back(sampled.finished[at] != 0);
        ++sampled_now;
        if (is_blank(record.responses.back())) ++empty;
      }
      writer.write(to_json(record));
      bar.advance();
    }
    bar.count("tokens", static_cast<double>(sampled.responses.total()));
    records.clear();
    context.stop_if_interrupted();
  };
  for (prompt_record record; reader.next(record);) {
    if (reader.kept() <= first) continue;
    records.push_back(std::move(record));
    if (records.size() == batch) flush();
  }
  if (!records.empty()) flush();
  writer.finish();
  bar.finish(out.string());
  if (empty > 0)
    context.log(std::to_string(empty) + " of the " + std::to_string(sampled_now) +
                " responses sampled now are empty: no text before their end");
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
                    {"--max-tokens", "sample.max_new_tokens", "most tokens of a response"},
                    {"--temperature", "generation.temperature", "sampling temperature"}},
          .sections = {"model", "sample", "generation", "prompt", "adapter", "plan"}};
}

}  // namespace coho::trainer
