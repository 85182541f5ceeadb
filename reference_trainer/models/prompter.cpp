#include "models/prompter.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "files/notices.hpp"
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

// The token that a template ends a turn with although no file of the model names it as an end; of id −1 if there is
// none. Base models are published so: their end token ends documents, and their template ends turns by another.
special_token unnamed_turn_end(const model_chat_template& form, const std::tm& now, const loaded_model& model) {
  const std::string after = text_after_reply(form, now);
  special_token out;
  for (const auto& one : model.tokenizer->special_tokens())
    if (one.text.size() > out.text.size() && after.starts_with(one.text)) out = one;
  const bool named = std::ranges::find(model.end_tokens(), out.id) != model.end_tokens().end();
  return named || out.id == model.tokenizer->bos() ? special_token{} : out;
}

// The texts of the tokens that a message never becomes, so that only the template's own words are these tokens. Others
// that were added to the vocabulary, such as <think>, are found in every text.
std::vector<std::string> guarded_tokens(const text_tokenizer& tokenizer) {
  std::vector<std::string> out;
  for (const auto& one : tokenizer.special_tokens())
    if (!one.text.empty() && tokenizer.encode(one.text) != std::vector<token>{one.id}) out.push_back(one.text);
  return out;
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
    use_own_template(settings, model);
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

void prompter::use_own_template(const prompt_settings& settings, const loaded_model& model) {
  const auto form = settings.own_template ? *settings.own_template
                                          : require_chat_template(model.directory, settings.chat_template_name);
  if (const auto end = unnamed_turn_end(form, settings.date, model); end.id >= 0) {
    ends_.push_back(end.id);
    notices::setting().say("note: " + form.form.name() + " ends a turn with " + end.text +
                           ", which no file of the model names as an end token: responses end there, too");
  }
  std::vector<std::string> ends;
  for (const token id : ends_) {
    const auto known = std::ranges::find(tokenizer_->special_tokens(), id, &special_token::id);
    ends.emplace_back(known != tokenizer_->special_tokens().end() ? known->text : tokenizer_->piece(id));
  }
  own_template_.emplace(form, guarded_tokens(*tokenizer_), std::move(ends), settings.date);
}

void prompter::require_layout(std::span<const chat_message> messages) const {
  if (!own_template_ || messages.empty()) return;
  std::vector<chat_message> all(messages.begin(), messages.end());
  // What is read and not trained on is counted where it is trained, not here.
  for (auto& message : all) message.weight = 0;
  try {
    lay_out(all, all.back().role == chat_role::assistant);
  } catch (const error& problem) {
    throw argument_error(std::string(problem.what()) +
                         "; change the conversation, leave it out (--skip-bad) or give prompt.format another form");
  }
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
