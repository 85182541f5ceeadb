#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "benchmarks/answer_writer.hpp"
#include "benchmarks/benchmark_records.hpp"
#include "commands/commands.hpp"
#include "config/column_option.hpp"
#include "config/read_options.hpp"
#include "files/atomic_file.hpp"
#include "generation/engine.hpp"
#include "jsonl/bad_records.hpp"
#include "llama/position_watch.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "models/reward_model_role.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "settings/generation_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"
#include "text/text_stream.hpp"

namespace coho::trainer {
namespace {

struct generate_options {
  std::optional<std::string> prompt{};
  std::optional<std::filesystem::path> prompts{};
  column_choice columns{};
  std::filesystem::path adapter{};
  bool ids = false;
  std::size_t batch = 64;
  answer_form answers = answer_form::jsonl;
  std::string model_id{};
  double timestamp = 0;
  bool category_temperatures = false;
  prompt_limit<false> limit{};

  static void describe(auto&& visit, auto&... o) {
    visit({"prompt", "text of a single prompt"}, o.prompt...);
    visit({"prompts", "file of prompts (JSON Lines); with neither only the begin token is continued"}, o.prompts...);
    visit(columns_option, o.columns...);
    visit({"adapter", "folder of an adapter, or of a trained model"}, o.adapter...);
    visit({"ids", "whether token ids are printed, the prompt's first"}, o.ids...);
    visit({"batch", "number of prompts answered at a time", allowed::count(), "prompts"}, o.batch...);
    visit({"answers", "form of the files of prompts and answers"}, o.answers...);
    visit(otherwise("the folder of adapter or model", {"model_id", "name of the model in a benchmark's answers"}),
          o.model_id...);
    visit({"timestamp", "FastChat's tstamp, which its judges do not read", {}, "seconds"}, o.timestamp...);
    visit({"category_temperatures", "whether FastChat's temperature of each category replaces generation.temperature"},
          o.category_temperatures...);
    prompt_limit<false>::describe(visit, o.limit...);
  }
  // Throws config_error for options that exclude each other.
  void check_constraints(const config& section) const {
    section.check(!prompt || !prompts, "prompts", "left out when generate.prompt is given");
    check_columns(section, columns, prompt_columns);
    section.check(columns.empty() || (prompts && !is_fastchat(answers)), "columns",
                  "left out unless generate.prompts names a file of prompts, which FastChat's questions are not");
    const bool benchmark = answers != answer_form::jsonl;
    section.check(!ids || !benchmark, "ids", "left out with answers of a benchmark's form");
    section.check(!benchmark || prompts, "answers", "jsonl where generate.prompts names no file of questions");
    section.check(!category_temperatures || is_fastchat(answers), "category_temperatures",
                  "left out unless generate.answers is mt_bench or vicuna_bench");
  }
};

struct generate_settings {
  generate_options read{};
  model_settings model{};
  prompt_settings prompting{};
  generation_options sampling{};
};

// The last part of a model's path, also for one that ends in a slash.
std::string folder_name(const std::filesystem::path& model) {
  const auto plain = model.lexically_normal();
  return (plain.has_filename() ? plain : plain.parent_path()).filename().string();
}

// All sections; the model's name in answers, and their length limit, depend on other keys.
generate_settings read_generate(const config& options) {
  const config section = options.section("generate");
  generate_settings out;
  out.prompting = read_prompt_settings(options, "generate", false);
  out.model = read_model_settings(options);
  read_only(section, out.read, {"adapter"});
  out.read.model_id = folder_name(out.read.adapter.empty() ? out.model.path : out.read.adapter);
  read_options(section, out.read, {"max_prompt_tokens"});
  const bool benchmark = out.read.answers != answer_form::jsonl;
  out.sampling = read_generation(options, out.prompting.stop, {.max_new_tokens = benchmark ? 1024u : 256u});
  options.check(out.read.answers != answer_form::mt_bench || out.prompting.format_name != "plain", "prompt.format",
                "a chat format for mt_bench, whose second turn follows on the first");
  return out;
}

// The model with its sampling: answers one prompt, or a file of them.
class generator {
 public:
  generator(stage_context& context, const generate_settings& settings)
      : context_(context),
        model_(load_model(settings.model, context)),
        prompting_(settings.prompting),
        prompts_(prompting_, model_),
        sampling_(settings.sampling),
        columns_(settings.read.columns),
        form_(settings.read.answers),
        identity_{.model_id = settings.read.model_id, .timestamp = settings.read.timestamp},
        batch_(settings.read.batch),
        ids_(settings.read.ids),
        category_temperatures_(settings.read.category_temperatures) {
    load_role(model_, "policy", settings.read.adapter);
    sampling_.banned = model_.banned_tokens();
    ends_ = prompts_.end_tokens();
    engine_.emplace(*model_.bank, "policy", engine_options{.slots = static_cast<std::int64_t>(batch_)},
                    model_.token_texts());
  }

  // Continues one prompt, or only the begin token; on stdout as it is sampled.
  void answer_one(const std::optional<std::string>& question) {
    packed<token> prompt;
    prompt.push_back(question ? prompts_.tokens(*question) : model_.tokenizer->begin_tokens());
    check_length(prompt.total());
    log_cuts(1);
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
      std::cout << rest << '\n';
      return;
    }
    if (ids_) {
      text.clear();
      for (const std::span<const token> part : {std::as_const(prompt)[0], out.responses[0]})
        for (const token id : part) text += (text.empty() ? "" : " ") + std::to_string(id);
    } else {
      text += rest;
    }
    text += '\n';
    if (context_.out.empty()) {
      std::cout << text;
    } else {
      write_file(context_.out, text);
    }
  }

  // Each turn as a conversation of its own: the answers before it are not known yet.
  void require_layouts(const benchmark_question& question) const {
    for (const auto& turn : question.turns) prompts_.require_layout(std::vector{chat_message{chat_role::user, turn}});
  }

  // Answers every prompt of a file in batches; a resumed run goes on where its output ends.
  void answer_file(const std::filesystem::path& file) {
    std::optional<answer_writer> writer;
    if (!context_.out.empty()) writer.emplace(context_.out, form_, context_.resume);
    const auto for_each_question = [&](auto use) {
      jsonl_reader reader(file, {}, columns_);
      std::optional<benchmark_question> question;
      const auto read = [&](const json& value) {
        question = read_benchmark_question(form_, value, reader);
        if (question) check_record(reader, [&] { require_layouts(*question); });
        return question.has_value();
      };
      while (next_usable(reader, read)) use(std::move(*question));
    };
    // Errors in any record are reported before the first answer. A pipe cannot be read twice.
    std::size_t total = 0;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(file, ignored)) for_each_question([&](const auto&) { ++total; });
    const std::size_t done = writer ? writer->count() : 0;
    auto bar = context_.start_progress("generate", total, "prompts");
    bar.start_at(done);
    std::vector<benchmark_question> questions;
    std::size_t index = 0;
    const bool list = form_ == answer_form::alpaca_eval;
    const char* gap = list ? "[\n" : "";
    // A partly written batch is answered again as a whole: probabilities differ in their last
    // digits with the batch, and a draw may fall between.
    const std::size_t first = done - done % batch_;
    const auto flush = [&] {
      std::size_t position = index - questions.size();
      for (const json& line : answer(questions, position)) {
        if (position++ < done) continue;
        bar.count("tokens", std::exchange(sampled_, 0.0));
        bar.advance();
        if (writer) {
          writer->write(line);
        } else {
          context_.terminal->redraw("");  // if both streams are one terminal, keep records off the bar's line
          std::cout << gap << line.dump(-1, ' ', false, json::error_handler_t::replace);
          if (list) {
            gap = ",\n";
          } else {
            std::cout << std::endl;
          }
        }
      }
      questions.clear();
      context_.stop_if_interrupted();
    };
    for_each_question([&](benchmark_question question) {
      if (index >= first && questions.size() == batch_) flush();
      if (index++ >= first) questions.push_back(std::move(question));
    });
    if (index == 0) throw file_error(file.string(), "", "holds no prompts");
    if (!questions.empty()) flush();
    log_cuts(index - first);
    if (writer) writer->finish();
    if (!writer && list) std::cout << "\n]\n";
    bar.finish();
  }

 private:
  // The state of a question while it is answered. Turn 0 of question i draws from rng(seed).split(i), a later turn
  // t from .split(t) of that.
  struct conversation {
    std::vector<chat_message> messages;
    std::vector<std::string> answers;
    std::vector<token> prompt, response;  // of the last turn
    bool finished = true;
  };

  // The records of a batch, whose first question has the number `first` in its file.
  std::vector<json> answer(const std::vector<benchmark_question>& questions, std::size_t first) {
    std::vector<conversation> all(questions.size());
    for (std::size_t i = 0; i < questions.size(); ++i) all[i].messages = questions[i].before;
    std::size_t turns = 0;
    for (const auto& question : questions) turns = std::max(turns, question.turns.size());
    for (std::size_t turn = 0; turn < turns; ++turn) {
      std::map<double, std::vector<std::size_t>> groups;
      for (std::size_t i = 0; i < questions.size(); ++i)
        if (turn < questions[i].turns.size()) groups[temperature_of(questions[i])].push_back(i);
      for (const auto& [temperature, members] : groups) answer_turn(questions, all, turn, first, temperature, members);
    }
    std::vector<json> lines;
    for (std::size_t i = 0; i < questions.size(); ++i) {
      json line = answer_record(form_, questions[i], all[i].answers, all[i].finished, identity_);
      if (ids_) {
        line["prompt_tokens"] = all[i].prompt;
        line["response_tokens"] = all[i].response;
      }
      lines.push_back(std::move(line));
    }
    return lines;
  }

  // One turn of the conversations `members`, which share a temperature.
  void answer_turn(const std::vector<benchmark_question>& questions, std::vector<conversation>& all, std::size_t turn,
                   std::size_t first, double temperature, const std::vector<std::size_t>& members) {
    packed<token> prompts;
    std::vector<rng> streams;
    for (const std::size_t i : members) {
      all[i].messages.push_back({chat_role::user, questions[i].turns[turn]});
      all[i].prompt = prompts_.tokens(all[i].messages);
      prompts.push_back(all[i].prompt);
      check_length(all[i].prompt.size());
      const rng own = rng(context_.seed).split(first + i);
      streams.push_back(turn == 0 ? own : own.split(turn));
    }
    generation_options sampling = sampling_;
    sampling.temperature = temperature;
    const auto out = engine_->generate(prompts, sampling, ends_, streams,
                                       [&](std::size_t, token) { context_.stop_if_interrupted(); });
    sampled_ += static_cast<double>(out.responses.total());
    for (std::size_t k = 0; k < members.size(); ++k) {
      auto& talk = all[members[k]];
      talk.response.assign(out.responses[k].begin(), out.responses[k].end());
      talk.finished = talk.finished && out.finished[k] != 0;
      talk.answers.push_back(prompts_.response_text(out.responses[k]));
      talk.messages.push_back({chat_role::assistant, talk.answers.back()});
    }
  }

  double temperature_of(const benchmark_question& question) const {
    return category_temperatures_ ? fastchat_temperature(question.category) : sampling_.temperature;
  }

  // Logs how many of so many prompts were cut.
  void log_cuts(std::size_t of) {
    if (const auto note = prompt_cut_note(prompts_.cut_count(), prompting_, of); !note.empty()) context_.log(note);
  }

  // Notes a prompt that with its answer exceeds the positions that the model is made for.
  void check_length(std::size_t prompt_tokens) {
    position_watch::instance().warn_ahead(static_cast<std::int64_t>(prompt_tokens + sampling_.max_new_tokens),
                                          model_.bank->config().max_position_embeddings);
  }

  stage_context& context_;
  loaded_model model_;
  prompt_settings prompting_;
  prompter prompts_;
  generation_options sampling_;
  std::vector<token> ends_;
  std::optional<generation_engine> engine_;
  column_choice columns_;
  answer_form form_;
  answer_identity identity_;
  std::size_t batch_;
  double sampled_ = 0;  ///< tokens that the progress line has not counted yet
  bool ids_, category_temperatures_;
};

class generate_stage : public stage {
 public:
  generate_stage(const config& options, stage_context& context)
      : settings_(read_generate(options)), out_(context.out) {}

  void check(const config&, stage_context& context) override {
    if (settings_.read.prompts) refuse_same_file("out", context.out, {*settings_.read.prompts});
  }

  bool finished(stage_context& context) const override {
    if (!settings_.read.prompts || context.out.empty() ||
        !answer_writer::is_complete(context.out, settings_.read.answers))
      return false;
    context.log(context.out.string() + " is complete: nothing to do");
    return true;
  }

  std::filesystem::path records() const override { return settings_.read.prompts ? out_ : std::filesystem::path(); }

  void load(const config& options, stage_context& context) override {
    if (options.place("prompt.max_tokens").starts_with("--set"))
      context.log("note: prompt.max_tokens limits training's prompts; generate.max_prompt_tokens limits these");
    generator_.emplace(context, settings_);
  }

  void run(stage_context&) override {
    if (settings_.read.prompts) {
      generator_->answer_file(*settings_.read.prompts);
    } else {
      generator_->answer_one(settings_.read.prompt);
    }
  }

 private:
  generate_settings settings_;
  std::filesystem::path out_;
  std::optional<generator> generator_;
};

}  // namespace

subcommand make_generate_command() {
  return {.name = "generate",
          .help = "continue prompts with a model",
          .run = run_stage<generate_stage>,
          .flags = {{"-m,--model", "model.path"},
                    random_weights_flag(),
                    {"--adapter", "generate.adapter"},
                    {"-p,--prompt", "generate.prompt"},
                    {"--prompts", "generate.prompts", "file of prompts (JSON Lines)"},
                    {"--answers", "generate.answers",
                     "jsonl, mt_bench, vicuna_bench or alpaca_eval: the form of both files"},
                    {"--model-id", "generate.model_id"},
                    {"--greedy", "generation.temperature", "take the most probable token", "0"},
                    {.name = "--ids", .key = "generate.ids", .fixed_value = "true"},
                    {"--max-tokens", "generation.max_new_tokens", "most tokens of a response"},
                    {"--temperature", "generation.temperature", "sampling temperature"},
                    {"--top-k", "generation.top_k", "sample from the k most probable tokens only"},
                    {"--top-p", "generation.top_p", "sample from the most probable tokens that hold this share"},
                    {"--format", "prompt.format"},
                    {"--template", "prompt.template", "inference template"},
                    {.name = "--stop",
                     .key = "prompt.stop",
                     .help = "a text that ends a response; may be repeated",
                     .repeatable = true}},
          .options = {model_section(), section_options("generate", generate_options{}), generation_section({}, false),
                      section_options("prompt", prompt_options{})},
          .group = "Use"};
}

}  // namespace coho::trainer
