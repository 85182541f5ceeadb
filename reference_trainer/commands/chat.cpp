#include <algorithm>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>

#include <coho/error.hpp>

#include "chat/chat_input.hpp"
#include "chat/conversation_window.hpp"
#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "files/atomic_file.hpp"
#include "generation/engine.hpp"
#include "models/model_files.hpp"
#include "program/subcommand.hpp"
#include "run/interruption.hpp"
#include "run/stage.hpp"
#include "settings/generation_settings.hpp"
#include "settings/model_settings.hpp"
#include "settings/prompt_settings.hpp"
#include "text/text_stream.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view commands =
    "/reset forgets the conversation, /system TEXT sets the system text, /save FILE writes the conversation,\n"
    "/exit or Ctrl-D ends, Ctrl-C stops an answer.";

// A template with text after the question as well leaves no place for another system text.
bool surrounds(const prompt_settings& prompting) { return prompting.wording && prompting.wording->uses("Input"); }

struct chat_options {
  std::filesystem::path adapter{};
  std::string system{};

  static void describe(auto&& visit, auto&... o) {
    visit({"adapter", "folder of an adapter, or of a trained model"}, o.adapter...);
    visit({"system", "system text of the conversation, in place of prompt.system"}, o.system...);
  }
};

generation_options chat_sampling() { return {.max_new_tokens = 256, .temperature = 0.7}; }

struct chat_settings {
  prompt_settings prompting{};
  std::filesystem::path adapter{};
  generation_options sampling{};
  std::string system{};
  model_settings model{};
};

// All sections; chat.system replaces prompt.system.
chat_settings read_chat(const config& options) {
  chat_settings read;
  read.prompting = read_prompt_settings(options);
  read.prompting.max_tokens = 0;  // fit_conversation keeps a conversation within the model's positions
  auto own = read_section<chat_options>(options.section("chat"));
  read.adapter = std::move(own.adapter);
  read.system = std::move(own.system);
  read.sampling = read_generation(options, read.prompting.stop, chat_sampling());
  options.check(read.system.empty() || read.prompting.format_name != "plain", "chat.system",
                "left out in the plain format");
  options.check(read.system.empty() || !surrounds(read.prompting), "chat.system",
                "left out when prompt.template has text behind {Input}: it is the system text");
  if (read.system.empty()) read.system = read.prompting.system;
  read.model = read_model_settings(options);
  return read;
}

// A conversation in the terminal with a loaded model.
class session {
 public:
  session(const config& options, stage_context& context, const chat_settings& settings)
      : context_(context),
        model_(load_model(settings.model, context)),
        prompts_(settings.prompting, model_),
        sampling_(settings.sampling),
        system_(settings.system),
        remembers_(settings.prompting.format_name != "plain"),
        takes_system_(remembers_ && !surrounds(settings.prompting)),
        positions_(static_cast<std::size_t>(model_.bank->config().max_position_embeddings)),
        terminal_(::isatty(STDIN_FILENO) != 0),
        interrupt_(terminal_) {
    load_role(model_, "policy", settings.adapter);
    sampling_.banned = model_.banned_tokens();
    options.check(sampling_.max_new_tokens < positions_, "generation.max_new_tokens",
                  "below the model's " + std::to_string(positions_) + " positions");
    ends_ = prompts_.end_tokens();
    engine_.emplace(*model_.bank, "policy", engine_options{.slots = 1}, model_.token_texts());
    reset();
  }

  void run() {
    if (terminal_) context_.log("Type a question; /help lists what else there is.");
    for (std::string line; read_line(line);) {
      if (line.find_first_not_of(" \t") == std::string::npos) continue;
      const auto command = parse_command(line);
      if (command.name == "exit" || command.name == "quit") return;
      if (command.name.empty()) {
        answer(line);
      } else {
        run_command(command);
      }
    }
    context_.stop_if_interrupted();
    if (terminal_) std::cout << '\n';
  }

 private:
  struct stopped {};  // thrown out of the engine when the user stops an answer

  // The next line that was typed; false at the end of input. Ctrl-C drops what was typed so far and asks again.
  bool read_line(std::string& line) {
    for (;;) {
      if (terminal_) std::cout << "> " << std::flush;
      while (terminal_ && !interrupt_.pending() && !context_.interrupted() && !ctrl_c::has_input(STDIN_FILENO)) {
      }
      context_.stop_if_interrupted();
      const bool got = !interrupt_.pending() && std::getline(std::cin, line);
      if (interrupt_.consume()) {
        // The terminal has dropped what was typed; the streams treat an interrupted read as end of input.
        std::clearerr(stdin);
        std::cin.clear();
        std::cout << '\n';
        context_.log("Ctrl-D or /exit ends.");
        continue;
      }
      if (!got) return false;
      context_.stop_if_interrupted();
      if (line.ends_with('\r')) line.pop_back();
      return true;
    }
  }

  // Starts again with only the system text.
  void reset() {
    messages_.clear();
    if (!system_.empty()) messages_.push_back({chat_role::system, system_});
    outgrown_ = false;
  }

  // Obeys a command; one that is not known is only reported. "/new" is another name of "/reset".
  void run_command(const chat_command& command) {
    if (command.name == "new" || command.name == "reset") {
      reset();
    } else if (command.name == "system") {
      set_system(command.argument);
    } else if (command.name == "save") {
      save(command.argument);
    } else if (command.name == "help") {
      context_.log(commands);
    } else {
      context_.log("there is no command /" + command.name + "; /help lists them");
    }
  }

  // Without a text it says which one is set.
  void set_system(const std::string& text) {
    if (!takes_system_) return context_.log("this format or its template leaves no place for a system text");
    if (text.empty()) return context_.log(system_.empty() ? "no system text is set" : "system: " + system_);
    system_ = repair_utf8(text);
    reset();
    context_.log("set; the conversation starts again");
  }

  // Writes the conversation so far; a file that cannot be written is reported and ends nothing.
  void save(const std::string& file) {
    if (file.empty()) return context_.log("/save needs the name of a file");
    try {
      write_file(file, conversation_json(messages_).dump() + "\n");
      context_.log("saved " + file);
    } catch (const error& problem) {
      context_.log(problem.what());  // no reason to lose the conversation
    }
  }

  // Asks the question, prints the answer as it is sampled, and keeps both. A question that leaves no room for an answer
  // is refused with a note.
  void answer(const std::string& line) {
    if (!remembers_) reset();
    messages_.push_back({chat_role::user, repair_utf8(line)});
    const std::size_t room = positions_ - sampling_.max_new_tokens, before = messages_.size();
    packed<token> prompt;
    prompt.push_back(fit_conversation(prompts_, messages_, room));
    if (prompt.total() > room) {
      context_.log("the question takes " + std::to_string(prompt.total()) + " tokens; beside the answer's " +
                   std::to_string(sampling_.max_new_tokens) + " there is room for " + std::to_string(room));
      messages_.pop_back();
      return;
    }
    if (messages_.size() < before && !std::exchange(outgrown_, true))
      context_.log("note: the conversation has outgrown the model's " + std::to_string(positions_) +
                   " tokens; from here on its oldest questions and answers are left out");
    rng streams[] = {rng(context_.seed).split(turn_++)};
    text_stream shown(sampling_.stop, true);
    std::vector<token> response;
    bool finished = true;
    try {
      const auto out = engine_->generate(prompt, sampling_, ends_, streams, [&](std::size_t, token id) {
        context_.stop_if_interrupted();
        response.push_back(id);
        if (std::ranges::find(ends_, id) == ends_.end())
          std::cout << repair_utf8(shown.add(model_.tokenizer->token_bytes(id))) << std::flush;
        if (interrupt_.pending()) throw stopped();
      });
      finished = out.finished[0] != 0;
    } catch (const stopped&) {
      interrupt_.consume();
    }
    std::cout << repair_utf8(shown.finish()) << std::endl;
    if (terminal_ && !finished)
      context_.log("(cut at generation.max_new_tokens = " + std::to_string(sampling_.max_new_tokens) + ")");
    messages_.push_back({chat_role::assistant, repair_utf8(prompts_.response_text(response))});
  }

  stage_context& context_;
  loaded_model model_;
  prompter prompts_;
  generation_options sampling_;
  std::string system_;
  bool remembers_, takes_system_;
  std::size_t positions_;
  bool terminal_;
  ctrl_c interrupt_;
  std::vector<token> ends_;
  std::optional<generation_engine> engine_;
  std::vector<chat_message> messages_;
  std::size_t turn_ = 0;
  bool outgrown_ = false;  ///< the conversation, of which one note is enough
};

class chat_stage : public stage {
 public:
  chat_stage(const config& options, stage_context&) : settings_(read_chat(options)) {}
  void load(const config& options, stage_context& context) override { talk_.emplace(options, context, settings_); }
  void run(stage_context&) override { talk_->run(); }

 private:
  chat_settings settings_;
  std::optional<session> talk_;
};

}  // namespace

subcommand make_chat_command() {
  return {.name = "chat",
          .help = "talk with a model in the terminal",
          .run = run_stage<chat_stage>,
          .flags = {{"-m,--model", "model.path"},
                    random_weights_flag(),
                    {"--adapter", "chat.adapter"},
                    {"--system", "chat.system", "system text"},
                    {"--format", "prompt.format"},
                    {"--template", "prompt.template", "inference template"},
                    {"--greedy", "generation.temperature", "take the most probable token", "0"},
                    {"--max-tokens", "generation.max_new_tokens", "most tokens of an answer"},
                    {"--temperature", "generation.temperature", "sampling temperature"},
                    {"--top-k", "generation.top_k", "sample from the k most probable tokens only"},
                    {"--top-p", "generation.top_p", "sample from the most probable tokens that hold this share"},
                    {.name = "--stop",
                     .key = "prompt.stop",
                     .help = "a text that ends an answer; may be repeated",
                     .repeatable = true}},
          .options = {model_section(), section_options("chat", chat_options{}),
                      generation_section(chat_sampling(), false), section_options("prompt", prompt_options{})},
          .group = "Use"};
}

}  // namespace coho::trainer
