#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/prompt/chat_prompt.hpp>

#include "models/model_files.hpp"
#include "settings/prompt_settings.hpp"

namespace coho::trainer {

/// Takes the oldest question and its answer out of a conversation; false when only the last question is left beside the
/// system text.
bool drop_oldest_exchange(std::vector<chat_message>& messages);

/// How questions become the tokens that a policy continues, and what it samples with.
///
/// What is learned is what is sampled: the text of a conversation is tokenised as one, cut only where a reply begins,
/// and spaces at the end of a prompt belong to the reply. In the plain format one space parts the two, or a line break
/// that the prompt ends with. A system text of a conversation's own takes the place of prompt.system and of the
/// template.
///
/// `prompt.template`: an inference template, by its path or a shipped one's name ("inference"). `prompt.format`:
/// "plain" (the question itself, or the template's text with it in the place of {Input}), dromedary, llama2_chat,
/// vicuna, mistral, or the path of a file that load_chat_format reads. `prompt.system`: the system text of a chat
/// format, where no template stands in its place. `prompt.stop`: stop strings beside the format's own.
/// `prompt.max_tokens` (0: no limit): of a longer prompt the oldest exchanges are left out, then the last question
/// keeps its own last tokens. The words of format, template and system text are never cut.
class prompter {
 public:
  prompter(const config& options, const loaded_model& model) : prompter(read_prompt_settings(options), model) {}
  /// Throws `file_error` when the template or the format's file is not there, and `option_error` when
  /// `prompt.max_tokens` leaves no room for a question.
  prompter(const prompt_settings& settings, const loaded_model& model);

  /// With the begin token.
  std::vector<token> tokens(std::string_view question) const;
  /// Also for conversations that end with a question. The plain format asks a single question as it is, behind the
  /// system text, and several turns as a transcript "Human: …\n\nAssistant: …\n\nHuman: …\n\nAssistant:"; within a
  /// template without "Assistant:" at its end.
  std::vector<token> tokens(std::span<const chat_message> messages) const;
  /// A conversation that ends with a reply, as it is trained on: each reply behind the tokens of its prompt, an end
  /// token where the model has to write one. The words around replies are those that `tokens` asks with. A limit holds
  /// for the prompt of the first reply with a weight above 0.
  chat_tokens trained(std::span<const chat_message> messages) const;
  /// Whether a conversation is within the limit, so that `tokens` cuts nothing.
  bool fits(std::span<const chat_message> messages) const;
  std::size_t max_tokens() const { return max_tokens_; }  ///< 0: no limit
  /// How often a prompt has been cut.
  std::size_t cut() const { return cut_; }
  const std::vector<std::string>& stop() const { return stop_; }
  /// A response as people and reward models see it: up to a stop string or end token, without white space around it.
  std::string response_text(std::span<const token> response) const;
  /// `prompt.format`: a name or a path.
  const std::string& format_name() const { return format_name_; }

 private:
  std::vector<token> uncut(std::span<const chat_message> messages) const;
  // With less of what is before the last question, and less of that, where the limit asks for it.
  std::vector<chat_message> fitted(std::span<const chat_message> messages) const;
  chat_text laid_out(std::span<const chat_message> messages, bool answered) const;
  chat_tokens encoded(const chat_text& text) const;

  std::shared_ptr<const sentencepiece_tokenizer> tokenizer_;
  std::vector<token> ends_;
  std::optional<prompt_template> template_;
  std::optional<chat_prompt> chat_;
  std::vector<std::string> stop_;
  std::string format_name_, system_;
  std::size_t max_tokens_;
  mutable std::size_t cut_ = 0;
};

}  // namespace coho::trainer
