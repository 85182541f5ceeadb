#include "stages/chat.hpp"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <string>

#include "generation/engine.hpp"
#include "stages/model_files.hpp"
#include "stages/model_settings.hpp"
#include "stages/text_stream.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

void run_chat(const config& options, stage_context& context) {
  at::set_num_threads(static_cast<int>(context.threads));
  const prompt_settings prompting = read_prompt_settings(options);
  const auto adapter = options.get<std::filesystem::path>("chat.adapter", {});
  generation_options sampling = read_generation(options, prompting.stop, {.max_new_tokens = 256, .temperature = 0.7});
  const auto system = options.get<std::string>("chat.system", "");
  const bool remembers = prompting.format_name != "plain";
  options.check(system.empty() || remembers, "chat.system", "left out in the plain format");
  read_model_settings(options);
  if (context.dry_run) return context.rehearse(options);
  loaded_model model = load_model(options);
  const prompter prompts(prompting, model);
  load_role(model, "policy", adapter);
  sampling.banned = model.never_sampled();
  const auto positions = static_cast<std::size_t>(model.bank->config().max_position_embeddings);
  options.check(sampling.max_new_tokens < positions, "generation.max_new_tokens",
                "below the model's " + std::to_string(positions) + " positions");
  if (!context.begin(options)) return;

  const auto ends = model.end_tokens();
  generation_engine engine(*model.bank, "policy", {.slots = 1}, model.token_texts());
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  const auto fresh = [&] {
    std::vector<chat_message> messages;
    if (!system.empty()) messages.push_back({chat_role::system, system});
    return messages;
  };
  auto messages = fresh();
  std::size_t turn = 0;
  if (terminal) context.log("Type a question; /new starts again, Ctrl-D ends.");
  for (std::string line;;) {
    if (terminal) std::cout << "> " << std::flush;
    if (!std::getline(std::cin, line)) break;
    context.stop_if_interrupted();
    if (line.ends_with('\r')) line.pop_back();
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    if (line == "/new" || !remembers) messages = fresh();
    if (line == "/new") continue;
    messages.push_back({chat_role::user, repair_utf8(line)});

    packed<token> prompt;
    prompt.push_back(fit_conversation(prompts, messages, positions - sampling.max_new_tokens));
    rng streams[] = {rng(context.seed).split(turn++)};
    text_stream shown(sampling.stop, true);
    const auto answer = engine.generate(prompt, sampling, ends, streams, [&](std::size_t, token id) {
      context.stop_if_interrupted();
      if (std::ranges::find(ends, id) == ends.end())
        std::cout << shown.add(model.tokenizer->token_bytes(id)) << std::flush;
    });
    std::cout << repair_utf8(shown.finish()) << std::endl;
    messages.push_back({chat_role::assistant, prompts.response_text(answer.responses[0])});
  }
  context.stop_if_interrupted();
  if (terminal) std::cout << '\n';
}

}  // namespace

std::vector<token> fit_conversation(const prompter& prompts, std::vector<chat_message>& messages, std::size_t limit) {
  auto tokens = prompts.tokens(messages);
  const std::ptrdiff_t first = !messages.empty() && messages.front().role == chat_role::system ? 1 : 0;
  while (tokens.size() > limit && static_cast<std::ptrdiff_t>(messages.size()) - first > 2) {
    messages.erase(messages.begin() + first, messages.begin() + first + 2);
    tokens = prompts.tokens(messages);
  }
  return tokens;
}

subcommand make_chat_command() {
  return {.name = "chat",
          .help = "talk with a model in the terminal",
          .run = run_chat,
          .flags = {{"-m,--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "chat.adapter", "folder of an adapter, or of a trained model"},
                    {"--system", "chat.system", "system text"},
                    {"--format", "prompt.format", "plain, dromedary, llama2_chat, vicuna or mistral"},
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
          .sections = {"model", "chat", "generation", "prompt"},
          .group = "Use"};
}

}  // namespace coho::trainer
