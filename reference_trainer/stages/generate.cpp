#include "stages/generate.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include <coho/error.hpp>

#include "data/records.hpp"
#include "files/atomic_file.hpp"
#include "generation/engine.hpp"
#include "stages/model_files.hpp"
#include "stages/model_settings.hpp"
#include "stages/prompting.hpp"
#include "stages/text_stream.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

struct generate_settings {
  std::filesystem::path adapter;
  prompt_settings prompting;
  generation_options sampling;
  bool ids;
  std::size_t batch;
};

generate_settings read_settings(const config& options) {
  generate_settings out{.adapter = options.get<std::filesystem::path>("generate.adapter", {}),
                        .prompting = read_prompt_settings(options),
                        .sampling = {},
                        .ids = options.get<bool>("generate.ids", false),
                        .batch = options.get<std::size_t>("generate.batch", 64)};
  out.sampling = read_generation(options, out.prompting.stop);
  options.check(out.batch > 0, "generate.batch", "at least 1");
  return out;
}

class generator {
 public:
  generator(const config& options, stage_context& context, const generate_settings& settings)
      : context_(context),
        model_(load_model(options)),
        prompts_(settings.prompting, model_),
        sampling_(settings.sampling),
        batch_(settings.batch),
        ids_(settings.ids) {
    load_role(model_, "policy", settings.adapter);
    sampling_.banned = model_.never_sampled();
    ends_ = model_.end_tokens();
    engine_.emplace(*model_.bank, "policy", engine_options{.slots = static_cast<std::int64_t>(batch_)},
                    model_.token_texts());
  }

  void one(const std::optional<std::string>& question) {
    packed<token> prompt;
    prompt.push_back(question ? prompts_.tokens(*question) : std::vector<token>{model_.tokenizer->bos()});
    check_length(prompt.total());
    rng streams[] = {rng(context_.seed).split(0)};
    text_stream shown(sampling_.stop, !question);
    std::string text;
    const bool live = context_.out.empty() && !ids_;
    const generation out = engine_->generate(prompt, sampling_, ends_, streams, [&](std::size_t, token id) {
      context_.stop_if_interrupted();
      if (std::ranges::find(ends_, id) != ends_.end()) return;
      const std::string part = shown.add(model_.tokenizer->token_bytes(id));
      text += part;
      if (live) std::cout << part << std::flush;
    });
    const std::string rest = shown.finish();
    if (live) {
      std::cout << repair_utf8(rest) << '\n';
      return;
    }
    if (ids_) {
      text.clear();
      for (const std::span<const token> part : {std::as_const(prompt)[0], out.responses[0]})
        for (const token id : part) text += (text.empty() ? "" : " ") + std::to_string(id);
    } else {
      text = repair_utf8(text + rest);
    }
    text += '\n';
    if (context_.out.empty()) {
      std::cout << text;
    } else {
      write_file(context_.out, text);
    }
  }

  void all(const std::filesystem::path& file) {
    std::optional<jsonl_writer> writer;
    if (!context_.out.empty()) writer.emplace(context_.out, context_.resume);
    if (writer && writer->finished()) {
      context_.log(context_.out.string() + " is complete: nothing to do");
      return;
    }
    record_reader<prompt_record> reader(file);
    const std::size_t done = writer ? writer->count() : 0;
    auto bar = context_.start_progress("generate", 0, "prompts");
    bar.start_at(done);
    std::vector<prompt_record> records;
    std::size_t index = 0;
    // A batch of which a part is written already is answered as a whole again: probabilities differ in their last
    // digits with the batch, and a draw may fall between.
    const std::size_t first = done - done % batch_;
    const auto flush = [&] {
      std::size_t position = index - records.size();
      for (const json& line : answer(records, position)) {
        if (position++ < done) continue;
        bar.count("tokens", std::exchange(sampled_, 0.0));
        bar.advance();
        if (writer) {
          writer->write(line);
        } else {
          context_.terminal->redraw("");  // where both streams are one terminal, a record does not follow the bar
          std::cout << line.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
        }
      }
      records.clear();
      context_.stop_if_interrupted();
    };
    for (prompt_record record; reader.next(record); ++index) {
      if (index < first) continue;
      if (records.size() == batch_) flush();
      records.push_back(record);
    }
    if (!records.empty()) flush();
    if (writer) writer->finish();
    bar.finish();
  }

 private:
  std::vector<json> answer(const std::vector<prompt_record>& records, std::size_t first) {
    packed<token> prompts;
    std::vector<rng> streams;
    for (std::size_t i = 0; i < records.size(); ++i) {
      prompts.push_back(prompts_.tokens(records[i].text()));
      check_length(prompts.length(i));
      streams.push_back(rng(context_.seed).split(first + i));
    }
    const auto out = engine_->generate(prompts, sampling_, ends_, streams,
                                       [&](std::size_t, token) { context_.stop_if_interrupted(); });
    sampled_ += static_cast<double>(out.responses.total());
    std::vector<json> lines;
    for (std::size_t i = 0; i < records.size(); ++i) {
      sample_record sample{.prompt = records[i],
                           .responses = {prompts_.response_text(out.responses[i])},
                           .finished = {out.finished[i] != 0}};
      json line = to_json(sample);
      if (ids_) {
        line["prompt_tokens"] = prompts[i];
        line["response_tokens"] = out.responses[i];
      }
      lines.push_back(std::move(line));
    }
    return lines;
  }

  void check_length(std::size_t prompt_tokens) {
    const auto limit = static_cast<std::size_t>(model_.bank->config().max_position_embeddings);
    if (warned_ || prompt_tokens + sampling_.max_new_tokens <= limit) return;
    warned_ = true;
    context_.log("note: prompt and response may take " + std::to_string(prompt_tokens + sampling_.max_new_tokens) +
                 " tokens; the model is made for " + std::to_string(limit));
  }

  stage_context& context_;
  loaded_model model_;
  prompter prompts_;
  generation_options sampling_;
  std::vector<token> ends_;
  std::optional<generation_engine> engine_;
  std::size_t batch_;
  double sampled_ = 0;  ///< tokens that the progress line has not counted yet
  bool ids_, warned_ = false;
};

void run_generate(const config& options, stage_context& context) {
  const auto question = options.find<std::string>("generate.prompt");
  const auto file = options.find<std::filesystem::path>("generate.prompts");
  options.check(!question || !file, "generate.prompts", "left out when generate.prompt is given");
  at::set_num_threads(static_cast<int>(context.threads));
  const generate_settings settings = read_settings(options);
  read_model_settings(options);
  if (context.dry_run) return context.rehearse(options);
  generator stage(options, context, settings);
  if (!context.begin(options)) return;
  if (file) {
    stage.all(*file);
  } else {
    stage.one(question);
  }
}

}  // namespace

subcommand make_generate_command() {
  return {.name = "generate",
          .help = "continue prompts with a model",
          .run = run_generate,
          .flags = {{"-m,--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "generate.adapter", "folder of an adapter, or of a trained model"},
                    {"-p,--prompt", "generate.prompt", "one prompt"},
                    {"--prompts", "generate.prompts", "file of prompts (JSON Lines)"},
                    {"--greedy", "generation.temperature", "take the most probable token", "0"},
                    {"--ids", "generate.ids", "print token ids, the prompt's first", "true"},
                    {"--max-tokens", "generation.max_new_tokens", "most tokens of a response"},
                    {"--temperature", "generation.temperature", "sampling temperature"},
                    {"--top-k", "generation.top_k", "sample from the k most probable tokens only"},
                    {"--top-p", "generation.top_p", "sample from the most probable tokens that hold this share"},
                    {"--format", "prompt.format", "plain, dromedary, llama2_chat, vicuna or mistral"},
                    {"--template", "prompt.template", "inference template"},
                    {.name = "--stop",
                     .key = "prompt.stop",
                     .help = "a text that ends a response; may be repeated",
                     .repeatable = true}},
          .sections = {"model", "generate", "generation", "prompt"},
          .group = "Use"};
}

}  // namespace coho::trainer
