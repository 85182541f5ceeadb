#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/prompt/chat_prompt.hpp>

#include "models/model_files.hpp"
#include "models/template_layout.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {

/// Removes the oldest question and its answer from a conversation; false if only the last question is left apart from
/// the system text.
bool drop_oldest_exchange(std::vector<chat_message>& messages);

/// How questions become the tokens that a policy continues, and its stop strings.
///
/// Training and sampling use the same tokens: the text of a conversation is tokenised as a whole, cut only where a
/// reply begins, and spaces at the end of a prompt belong to the reply. In the plain format one space separates the
/// two, or a line break at the end of the prompt. A conversation's own system text replaces prompt.system and the
/// template.
///
/// `prompt.template`: an inference template, by its path or a shipped name ("inference"). `prompt.format`: "plain" (the
/// question itself, or the template's text with the question for {Input}), model (its own chat template),
/// dromedary, llama2_chat, vicuna, mistral, or the path of a file that load_chat_format reads. `prompt.system`: the
/// system text of a chat format, unless a template replaces it. `prompt.stop`: stop strings in addition to the format's
/// own. `prompt.max_tokens` (0: no limit): in a longer prompt the oldest exchanges are left out, then the last question
/// keeps only its last tokens. The words of format, template and system text are never cut.
class prompter {
 public:
  /// Throws `file_error` if the template, the format's file or the model's chat template is missing, and `option_error`
  /// if `prompt.max_tokens` leaves no room for a question.
  prompter(const prompt_settings& settings, const loaded_model& model);

  /// The tokens of a single question, including the begin token.
  std::vector<token> tokens(std::string_view question) const;
  /// The same for conversations that end with a question. The plain format uses a single question as it is, after the
  /// system text, and several turns as a transcript "Human: …\n\nAssistant: …\n\nHuman: …\n\nAssistant:"; within a
  /// template without the final "Assistant:".
  std::vector<token> tokens(std::span<const chat_message> messages) const;
  /// A conversation that ends with a reply, as it is trained on: each reply after the tokens of its prompt, with an end
  /// token where the model must write one. The words around replies are those of `tokens`. A limit applies to the
  /// prompt of the first reply with a weight above 0.
  chat_tokens training_tokens(std::span<const chat_message> messages) const;
  /// Whether a conversation is within the limit, so that `tokens` cuts nothing.
  bool fits(std::span<const chat_message> messages) const;
  std::size_t max_tokens() const { return max_tokens_; }  ///< 0: no limit
  /// How many prompts have been cut.
  std::size_t cut_count() const { return cut_; }
  /// Throws `argument_error` for a conversation that the model's own chat template refuses, or whose last reply it does
  /// not write after its prompt; never in other formats.
  void require_layout(std::span<const chat_message> messages) const;
  /// The tokens at which a response ends: those of the model, and the one that its own chat template ends a turn with.
  const std::vector<token>& end_tokens() const { return ends_; }
  /// The stop strings of `prompt.stop` and of the format.
  const std::vector<std::string>& stop() const { return stop_; }
  /// A response as users and reward models see it: up to a stop string or end token, without surrounding white space.
  std::string response_text(std::span<const token> response) const;
  /// `prompt.format`: a name or a path.
  const std::string& format_name() const { return format_name_; }

 private:
  // Lays out by the model's own template. Throws file_error where it brings none.
  void use_own_template(const prompt_settings& settings, const loaded_model& model);
  // The tokens of a conversation to be answered, whatever their number.
  std::vector<token> uncut_tokens(std::span<const chat_message> messages) const;
  // Drops earlier turns, and then the beginning of the question, as far as the limit requires.
  std::vector<chat_message> fit_to_limit(std::span<const chat_message> messages) const;
  // The text of a conversation in the prompter's format; `answered`: it ends with a reply.
  chat_text lay_out(std::span<const chat_message> messages, bool answered) const;
  chat_tokens encode(const chat_text& text) const;

  std::shared_ptr<const text_tokenizer> tokenizer_;
  std::vector<token> ends_;
  std::optional<prompt_template> template_;
  std::optional<chat_prompt> chat_;
  std::optional<template_layout> own_template_;
  std::vector<std::string> stop_;
  std::string format_name_, system_;
  std::size_t max_tokens_;
  mutable std::size_t cut_ = 0;
};

/// A check of records (record_check): `prompts.require_layout` of their conversations.
///
///     read_records<prompt_record>(file, limit, {}, layout_check(prompts));
inline auto layout_check(const prompter& prompts) {
  return [&prompts](const auto& record) { prompts.require_layout(record.messages()); };
}

}  // namespace coho::trainer
