#pragma once

#include <ctime>
#include <span>
#include <string>
#include <vector>

#include <coho/prompt/chat_text.hpp>

#include "resources/chat_template_file.hpp"

namespace coho::trainer {

/// What a template writes after the last reply of a conversation, without white space around it; empty too where it
/// refuses a conversation of one question and one answer.
std::string text_after_reply(const model_chat_template& form, const std::tm& now);

/// Lays out conversations by a model's own chat template, as transformers' `apply_chat_template` does.
///
/// What is learnt of a conversation is what the template marks by generation tags. Without these it follows from
/// prefixes: the prompt of a reply is the conversation before it with `add_generation_prompt`, and must be the
/// beginning of the whole text; the reply ends with the token that ends a turn. Replies before the last one whose turns
/// the template changes later (some drop what a model thought) are read but not learnt, and counted in a note.
///
/// A message that spells a special token keeps it as words: it is told from the template's own by rendering once more
/// with a mark in its place.
class template_layout {
 public:
  /// `special`: the texts of the tokens that a message never becomes; `ends`: those that end a turn; `now`: the time
  /// for templates that ask for it.
  template_layout(model_chat_template form, std::vector<std::string> special, std::vector<std::string> ends,
                  const std::tm& now);

  /// The text of a conversation; `answered`: it ends with a reply. Throws `template_error` where the template refuses
  /// the conversation, with its beginning; `argument_error` where the replies cannot be told from the prompts.
  chat_text operator()(std::span<const chat_message> messages, bool answered) const;

 private:
  friend std::string text_after_reply(const model_chat_template& form, const std::tm& now);
  rendered_chat render(std::span<const chat_message> messages, bool prompt) const;
  // The places in `text` where a message spells a special token.
  std::vector<chat_span> find_spelled(std::span<const chat_message> messages, bool prompt,
                                      const std::string& text) const;
  // The replies as the template marks them.
  std::vector<chat_reply> marked_replies(std::span<const chat_message> messages, const chat_piece& whole,
                                         const std::vector<text_span>& generated) const;
  // The replies by the prefixes of the whole. Those of a conversation that is `answered` are to be learnt: what cannot
  // be is refused or counted.
  std::vector<chat_reply> prefix_replies(std::span<const chat_message> messages, const chat_piece& whole,
                                         bool answered) const;
  // Where the learnt part of a reply in [begin, end) ends: behind the token that ends the turn, or, of one that is not
  // finished, behind its words.
  std::size_t reply_end(const chat_message& reply, const chat_piece& whole, std::size_t begin, std::size_t end) const;
  bool ends_turn(const chat_piece& whole, const chat_reply& reply) const;

  model_chat_template form_;
  std::vector<std::string> special_, ends_;
  std::tm now_;
};

}  // namespace coho::trainer
