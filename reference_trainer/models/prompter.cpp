#include "models/prompter.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "generation/stop_matcher.hpp"
#include "resources/chat_format_file.hpp"
#include "resources/template_file.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {

bool drop_oldest_exchange(std::vector<chat_message>& messages) {
  const std::size_t first = !messages.empty() && messages.front().role == chat_role::system ? 1 : 0;
  if (messages.size() < first + 3) return false;
  const auto oldest = messages.begin() + static_cast<std::ptrdiff_t>(first);
  messages.erase(oldest, oldest + 2);
  return true;
}

namespace {

// The layout by the model's own template. Throws file_error where it brings none.
template_layout make_template_layout(const prompt_settings& settings, const loaded_model& model) {
  auto form =
      settings.own_template ? settings.own_template : find_chat_template(model.directory, settings.chat_template_name);
  if (!form)
    throw file_error(model.directory.string(), "", "brings no chat template, which prompt.format = \"model\" needs",
                     "give prompt.format another form, or put a chat_template.jinja there");
  std::vector<std::string> special, ends;
  for (const auto& one : model.tokenizer->special_tokens())
    if (!one.text.empty()) special.push_back(one.text);
  for (const token id : model.end_tokens()) ends.emplace_back(model.tokenizer->piece(id));
  return {*std::move(form), std::move(special), std::move(ends), settings.date};
}

}  // namespace

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
  if (format_name_ == "model") {
    own_template_.emplace(make_template_layout(settings, model));
  } else if (format_name_ != "plain") {
    // Settings that were read before the file existed have no format: loading it here reports that it is missing.
    const chat_format format = settings.chat ? *settings.chat : load_chat_format(settings.format_path);
    chat_ = template_ ? chat_prompt(format, *template_) : chat_prompt(format);
  }
  if (max_tokens_ == 0) return;
  const chat_message nothing{chat_role::user, {}};
  const std::size_t wording = uncut_tokens(std::span(&nothing, 1)).size();
  require_option(wording < max_tokens_, settings.max_tokens_key, max_tokens_,
                 "more than the " + std::to_string(wording) + " tokens around a question, or 0 (no limit)");
}

std::vector<token> prompter::tokens(std::string_view question) const {
  const chat_message message{chat_role::user, std::string(question)};
  return tokens(std::span<const chat_message>(&message, 1));
}

std::vector<token> prompter::tokens(std::span<const chat_message> messages) const {
  return uncut_tokens(fit_to_limit(messages));
}

std::vector<chat_message> prompter::fit_to_limit(std::span<const chat_message> messages) const {
  std::vector<chat_message> kept(messages.begin(), messages.end());
  if (max_tokens_ == 0) return kept;
  auto out = uncut_tokens(messages);
  if (out.size() <= max_tokens_) return kept;
  ++cut_;
  while (out.size() > max_tokens_ && drop_oldest_exchange(kept)) out = uncut_tokens(kept);
  const auto question = tokenizer_->encode(kept.back().text);
  const std::span<const token> all(question);
  // The rest of a text may need one more token than it did within the whole; then one more is cut.
  for (std::size_t keep = question.size(); out.size() > max_tokens_ && keep > 0;) {
    keep -= std::min(keep, out.size() - max_tokens_);
    kept.back().text = tokenizer_->decode(all.last(keep));
    out = uncut_tokens(kept);
  }
  return kept;
}

bool prompter::fits(std::span<const chat_message> messages) const {
  return max_tokens_ == 0 || uncut_tokens(messages).size() <= max_tokens_;
}

std::vector<token> prompter::uncut_tokens(std::span<const chat_message> messages) const {
  return encode(lay_out(messages, false)).tokens;
}

std::string prompter::response_text(std::span<const token> response) const {
  std::string text;
  for (const token id : response) {
    if (std::find(ends_.begin(), ends_.end(), id) != ends_.end()) break;
    if (static_cast<std::size_t>(id) < tokenizer_->size() && !tokenizer_->is_control(id))
      text += tokenizer_->token_bytes(id);
  }
  return std::string(trim_characters(truncate_at_stop(text, stop_)));
}

}  // namespace coho::trainer
