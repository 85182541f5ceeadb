#include "stages/prompting.hpp"

#include <algorithm>
#include <array>

#include <coho/error.hpp>
#include <coho/rollout/token_sampling.hpp>

#include "data/chat_format_file.hpp"
#include "data/template_file.hpp"
#include "generation/stop_matcher.hpp"
#include "files/data_files.hpp"

namespace coho::trainer {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

constexpr std::array<std::string_view, 4> known_formats{"dromedary", "llama2_chat", "vicuna", "mistral"};

void read_format(const config& options, prompt_settings& out) {
  out.format_name = options.get<std::string>("prompt.format", "plain");
  if (out.format_name == "plain") return;
  if (std::ranges::find(known_formats, out.format_name) != known_formats.end()) {
    out.chat = chat_formats::by_name(out.format_name);
    return;
  }
  const std::filesystem::path path = out.format_name;
  options.check(path.extension() == ".json" || path.has_parent_path() || !not_there(path), "prompt.format",
                "plain, dromedary, llama2_chat, vicuna, mistral, or the path of a chat format file (JSON)");
  out.format_path = options.get<std::filesystem::path>("prompt.format", {});
  if (!not_there(path)) out.chat = load_chat_format(path);
}

}  // namespace

prompt_settings read_prompt_settings(const config& options) {
  prompt_settings out;
  read_format(options, out);
  out.template_path = prompt_file(options.get<std::filesystem::path>("prompt.template", {}));
  if (!out.template_path.empty() && !not_there(out.template_path))
    out.wording = load_template(template_kind::inference, out.template_path);
  if (out.chat) out.stop = out.chat->stop;
  for (auto& text : options.get<std::vector<std::string>>("prompt.stop", {})) {
    require_option(!text.empty(), "prompt.stop", "\"\"", "not empty");
    out.stop.push_back(std::move(text));
  }
  out.system = options.get<std::string>("prompt.system", "");
  options.check(out.system.empty() || out.format_name != "plain", "prompt.system", "left out in the plain format");
  options.check(
      out.system.empty() || out.template_path.empty(), "prompt.system",
      "left out when prompt.template is given, which is the system text; prompt.template = \"\" makes room for it");
  out.max_tokens = options.get<std::size_t>("prompt.max_tokens", 0);
  return out;
}

prompt_settings read_prompt_settings(const config& options, const std::string& stage, bool trains) {
  prompt_settings out = read_prompt_settings(options);
  const std::string key = stage + ".max_prompt_tokens";
  if (options.has(key) || !trains) out.max_tokens_key = key;
  out.max_tokens = options.get<std::size_t>(key, trains ? out.max_tokens : 0);
  return out;
}

std::string cut_note(std::size_t cut, const prompt_settings& settings, std::size_t of) {
  if (cut == 0) return {};
  return "note: " + std::to_string(cut) + " of " + std::to_string(of) + " prompts were longer than " +
         settings.max_tokens_key + " = " + std::to_string(settings.max_tokens) + " and lost their beginning";
}

bool drop_oldest_exchange(std::vector<chat_message>& messages) {
  const std::size_t first = !messages.empty() && messages.front().role == chat_role::system ? 1 : 0;
  if (messages.size() < first + 3) return false;
  const auto oldest = messages.begin() + static_cast<std::ptrdiff_t>(first);
  messages.erase(oldest, oldest + 2);
  return true;
}

prompter::prompter(const prompt_settings& settings, const loaded_model& model)
    : tokenizer_(model.tokenizer),
      ends_(model.end_tokens()),
      template_(settings.wording),
      stop_(settings.stop),
      format_name_(settings.format_name),
      system_(settings.system),
      max_tokens_(settings.max_tokens) {
  if (!settings.template_path.empty() && !template_)
    template_ = load_template(template_kind::inference, settings.template_path);
  if (format_name_ != "plain") {
    // Settings read before the file was there have no format: this says that it is missing.
    const chat_format format = settings.chat ? *settings.chat : load_chat_format(settings.format_path);
    chat_ = template_ ? chat_prompt(format, *template_) : chat_prompt(format);
  }
  if (max_tokens_ == 0) return;
  const chat_message nothing{chat_role::user, {}};
  const std::size_t wording = uncut(std::span(&nothing, 1)).size();
  require_option(wording < max_tokens_, settings.max_tokens_key, max_tokens_,
                 "more than the " + std::to_string(wording) + " tokens that stand around a question, or 0 (no limit)");
}

std::vector<token> prompter::tokens(std::string_view question) const {
  const chat_message message{chat_role::user, std::string(question)};
  return tokens(std::span<const chat_message>(&message, 1));
}

std::vector<token> prompter::tokens(std::span<const chat_message> messages) const { return uncut(fitted(messages)); }

std::vector<chat_message> prompter::fitted(std::span<const chat_message> messages) const {
  std::vector<chat_message> kept(messages.begin(), messages.end());
  if (max_tokens_ == 0) return kept;
  auto out = uncut(messages);
  if (out.size() <= max_tokens_) return kept;
  ++cut_;
  while (out.size() > max_tokens_ && drop_oldest_exchange(kept)) out = uncut(kept);
  const auto question = tokenizer_->encode(kept.back().text);
  const std::span<const token> all(question);
  // What is left of a text may take a token more than it did within the whole: then one more goes.
  for (std::size_t keep = question.size(); out.size() > max_tokens_ && keep > 0;) {
    keep -= std::min(keep, out.size() - max_tokens_);
    kept.back().text = tokenizer_->decode(all.last(keep));
    out = uncut(kept);
  }
  return kept;
}

bool prompter::fits(std::span<const chat_message> messages) const {
  return max_tokens_ == 0 || uncut(messages).size() <= max_tokens_;
}

std::vector<token> prompter::uncut(std::span<const chat_message> messages) const {
  return encoded(laid_out(messages, false)).tokens;
}

std::string prompter::response_text(std::span<const token> response) const {
  std::string text;
  for (const token id : response) {
    if (std::find(ends_.begin(), ends_.end(), id) != ends_.end()) break;
    if (static_cast<std::size_t>(id) < tokenizer_->size() && !tokenizer_->is_control(id))
      text += tokenizer_->token_bytes(id);
  }
  return trimmed(before_stop(text, stop_));
}

generation_options read_generation(const config& options, const std::vector<std::string>& stop,
                                   const generation_options& defaults) {
  generation_options out = defaults;
  out.max_new_tokens = options.get<std::size_t>("generation.max_new_tokens", defaults.max_new_tokens);
  out.temperature = options.get<double>("generation.temperature", defaults.temperature);
  out.top_k = options.get<std::size_t>("generation.top_k", 0);
  out.top_p = options.get<double>("generation.top_p", 1.0);
  options.mention({"generation.slots",
                   "generation.prefill_tokens"});  // one recipe for stages that read them and stages that do not
  out.stop = stop;
  require_option(out.max_new_tokens > 0, "generation.max_new_tokens", out.max_new_tokens, "at least 1");
  static_cast<void>(token_sampler({.temperature = out.temperature, .top_k = out.top_k, .top_p = out.top_p}));
  return out;
}

engine_options read_engine(const config& options) {
  engine_options out;
  out.slots = options.get<std::int64_t>("generation.slots", out.slots);
  out.prefill_tokens = options.get<std::int64_t>("generation.prefill_tokens", out.prefill_tokens);
  options.check(out.slots > 0, "generation.slots", "at least 1");
  options.check(out.prefill_tokens > 0, "generation.prefill_tokens", "at least 1");
  return out;
}

}  // namespace coho::trainer
