#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/reward/empty_response.hpp>

#include "commands/commands.hpp"
#include "config/column_option.hpp"
#include "config/read_options.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "plan/plan_settings.hpp"
#include "plan/stage_planner.hpp"
#include "records/records.hpp"
#include "roles/policy_role.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "settings/generation_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {
namespace {

// The shortest template or chat-format prefix worth caching; shorter ones cost nothing to read again.
constexpr std::size_t shortest_prefix = 16;

struct prompt_survey {
  std::size_t prompts = 0;
  std::vector<token> shared;  ///< the common prefix
};

// A first pass over the file, in constant memory: it also reports errors in the last line before hours of
// work.
prompt_survey survey(const std::filesystem::path& path, const column_choice& columns, const prompter& prompts,
                     const stage_context& context) {
  prompt_survey out;
  record_reader<prompt_record> reader(path, columns, layout_check(prompts));
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

struct sample_options {
  std::filesystem::path prompts{};
  column_choice columns{};
  std::size_t responses = 2;
  std::size_t batch = 64;
  // Keys of their own because one recipe may serve `ppo` too: compared responses may be shorter than trained ones.
  std::size_t max_new_tokens = generation_options{}.max_new_tokens;
  std::int64_t slots = engine_options{}.slots;
  prompt_limit<false> limit{};

  static void describe(auto&& visit, auto&... o) {
    visit(required({"prompts", "file of prompts"}), o.prompts...);
    visit(columns_option, o.columns...);
    visit({"responses", "number of responses to a prompt", allowed::count(), "responses"}, o.responses...);
    visit({"batch", "number of prompts answered at a time", allowed::count(), "prompts"}, o.batch...);
    visit(otherwise("generation.max_new_tokens", {"max_new_tokens", "longest response", allowed::count(), "tokens"}),
          o.max_new_tokens...);
    visit(
        otherwise("generation.slots", {"slots", "number of sequences decoded together", allowed::count(), "sequences"}),
        o.slots...);
    prompt_limit<false>::describe(visit, o.limit...);
  }
  void check_constraints(const config& section) const { check_columns(section, columns, prompt_columns); }
};

// The sampling where [generation] says nothing: warm enough for two responses to differ.
generation_options sample_sampling() { return {.max_new_tokens = 256, .temperature = 0.7}; }

struct sample_settings {
  std::filesystem::path prompts{}, out{}, adapter{};
  column_choice columns{};
  std::size_t responses = 0, batch = 0;
  prompt_settings prompting{};
  generation_options generation{};
  engine_options engine{};
  plan_settings planned{};
};

// All sections; keys of [sample] replace those of [generation].
sample_settings read_sample(const config& options, const stage_context& context) {
  sample_settings read;
  read.adapter = read_starting_adapter(options);
  read.out = context.out_or("samples.jsonl");
  read.prompting = read_prompt_settings(options, "sample", false);
  read.generation = read_generation(options, read.prompting.stop, sample_sampling());
  read.engine = read_engine(options);
  sample_options own{.max_new_tokens = read.generation.max_new_tokens, .slots = read.engine.slots};
  read_options(options.section("sample"), own, {"max_prompt_tokens"});
  read.prompts = own.prompts;
  read.columns = own.columns;
  read.responses = own.responses;
  read.batch = own.batch;
  read.generation.max_new_tokens = own.max_new_tokens;
  read.engine.slots = own.slots;
  read.planned = read_plan_settings(options, context);
  return read;
}

class sample_stage : public stage {
 public:
  sample_stage(const config& options, stage_context& context) : settings_(read_sample(options, context)) {}

  void check(const config&, stage_context&) override { refuse_same_file("out", settings_.out, {settings_.prompts}); }

  std::function<std::string()> plan(const config&, const stage_context&) const override {
    return stage_planner(settings_.planned, generation_workload{.adapter = settings_.adapter,
                                                                .batch = settings_.batch,
                                                                .responses = settings_.responses,
                                                                .query_tokens = settings_.prompting.max_tokens,
                                                                .max_new_tokens = settings_.generation.max_new_tokens,
                                                                .engine = settings_.engine});
  }

  bool finished(stage_context& context) const override { return log_if_complete(settings_.out, context); }
  std::filesystem::path records() const override { return settings_.out; }

  void load(const config&, stage_context& context) override {
    model_ = load_model(settings_.planned.model, context);
    load_role(model_, "policy", settings_.adapter);
    prompts_.emplace(settings_.prompting, model_);
    all_ = survey(settings_.prompts, settings_.columns, *prompts_, context);
    if (const auto note = prompt_cut_note(prompts_->cut_count(), settings_.prompting, all_.prompts); !note.empty())
      context.log(note);
  }

  void run(stage_context& context) override {
    jsonl_writer writer(settings_.out, context.resume);
    const double temperature = settings_.generation.temperature;
    policy_role policy(*model_.bank, "policy",
                       {.temperature = temperature > 0 ? temperature : 1.0,
                        .banned = model_.banned_tokens(),
                        .end_tokens = prompts_->end_tokens(),
                        .token_texts = model_.token_texts(),
                        .engine = settings_.engine,
                        .shared_prefix = std::move(all_.shared)});
    auto bar = context.start_progress("sample", all_.prompts, "prompts");
    bar.start_at(writer.count());
    done_ = writer.count();
    // A partly written batch is sampled again as a whole: probabilities differ in their last digits
    // with the batch, and a draw may fall between.
    const std::size_t first = done_ - done_ % settings_.batch;
    record_reader<prompt_record> reader(settings_.prompts, settings_.columns, layout_check(*prompts_));
    std::vector<prompt_record> records;
    const auto flush = [&] {
      answer_batch(policy, std::exchange(records, {}), reader.kept(), writer, bar, context);
      context.stop_if_interrupted();
    };
    for (prompt_record record; reader.next(record);) {
      if (reader.kept() <= first) continue;
      records.push_back(std::move(record));
      if (records.size() == settings_.batch) flush();
    }
    if (!records.empty()) flush();
    writer.finish();
    bar.finish(settings_.out.string());
    if (empty_ > 0)
      context.log(std::to_string(empty_) + " of the " + std::to_string(sampled_now_) +
                  " responses sampled now are empty: no text before their end");
  }

 private:
  // Samples the responses to a batch of prompts, and writes those that an earlier run did not. `end`: the number of
  // records up to the last of these.
  void answer_batch(policy_role& policy, std::vector<prompt_record> records, std::size_t end, jsonl_writer& writer,
                    progress& bar, const stage_context& context) {
    const rng root = rng(context.seed).split(stream_key("sample"));
    const std::size_t begin = end - records.size();
    packed<token> tokens;
    std::vector<rng> streams;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto ids = prompts_->tokens(records[i].messages());
      for (std::size_t k = 0; k < settings_.responses; ++k) {
        tokens.push_back(ids);
        streams.push_back(root.split(begin + i).split(k));
      }
    }
    const coho::generation sampled = policy.generate(tokens, settings_.generation, streams);
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (begin + i < done_) continue;
      sample_record record{.prompt = std::move(records[i]), .responses = {}, .finished = {}};
      for (std::size_t k = 0; k < settings_.responses; ++k) {
        const std::size_t at = i * settings_.responses + k;
        record.responses.push_back(prompts_->response_text(sampled.responses[at]));
        record.finished.push_back(sampled.finished[at] != 0);
        ++sampled_now_;
        if (is_blank(record.responses.back())) ++empty_;
      }
      writer.write(to_json(record));
      bar.advance();
    }
    bar.count("tokens", static_cast<double>(sampled.responses.total()));
  }

  sample_settings settings_;
  loaded_model model_;
  std::optional<prompter> prompts_;
  prompt_survey all_;
  std::size_t done_ = 0;  ///< records that an earlier run wrote
  std::size_t sampled_now_ = 0, empty_ = 0;
};

}  // namespace

void run_sample(const config& options, stage_context& context) { run_stage<sample_stage>(options, context); }

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
          .options = {model_section(true), section_options("sample", sample_options{}),
                      generation_section(sample_sampling(), true), section_options("prompt", prompt_options{}),
                      section_options("adapter", adapter_settings{}), section_options("plan", plan_options{})}};
}

}  // namespace coho::trainer
