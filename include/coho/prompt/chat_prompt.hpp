#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/detail/white_space.hpp>
#include <coho/error.hpp>
#include <coho/prompt/chat_format.hpp>
#include <coho/prompt/chat_text.hpp>
#include <coho/prompt/template.hpp>

namespace coho::inline v0_1 {

/// An instruction and its optional input as one user message: the input comes after the instruction and a blank line.
template <class = detail::if_called>
std::string full_instruction(std::string_view instruction, std::string_view input = {}) {
  std::string out(instruction);
  if (!input.empty()) out.append("\n\n").append(input);
  return out;
}

/// Lays out conversations for a model to answer, or to be trained on.
///
/// Construction throws `option_error` for an empty stop string, and if user suffix and assistant prefix are both empty.
/// The call throws `argument_error` unless the messages are: at most one system message, first; then user and assistant
/// in turn; the last one the user's. `answered` takes conversations that end with the assistant's message. There a
/// finished reply is followed by what makes the model stop: the suffix, if the format ends each reply with the end
/// token, and that token.
///
///     coho::chat_prompt prompt(coho::chat_formats::vicuna());
///     coho::chat_text chat = prompt("What is the weather?");
///     std::string text = chat.text();
class chat_prompt {
 public:
  template <class = detail::if_called>
  explicit chat_prompt(chat_format format) : format_(std::move(format)) {
    require_option(!format_.assistant_prefix.empty() || !format_.user_suffix.empty(), "assistant_prefix", "\"\"",
                   "set when user_suffix is empty, otherwise nothing separates question and answer");
    for (const auto& stop : format_.stop) require_option(!stop.empty(), "stop", "\"\"", "not empty");
  }

  /// Takes the text around a question from an inference template: the whole text as system text if it has no {Input};
  /// otherwise the text before {Input} as system text, and the text after it replaces user suffix and assistant prefix.
  /// A conversation's own system text replaces the whole template.
  template <class = detail::if_called>
  chat_prompt(chat_format format, const prompt_template& inference) : chat_prompt(std::move(format)) {
    require_argument(inference.kind() == template_kind::inference,
                     inference.source_name() + ": not an inference template");
    format_.default_system.clear();
    before_first_ = inference.shared_prefix();
    if (inference.uses("Input")) {
      after_first_ = inference.tail();
    } else {
      // The template may or may not include the first user heading.
      std::string_view heading = format_.user_prefix;
      while (heading.ends_with('\n') || heading.ends_with(' ')) heading.remove_suffix(1);
      if (!heading.empty() && before_first_.ends_with(heading))
        before_first_.resize(before_first_.size() - heading.size());
      while (before_first_.ends_with('\n') || before_first_.ends_with(' ')) before_first_.pop_back();
      if (!before_first_.empty()) before_first_.append(format_.system_suffix);
      before_first_.append(format_.user_prefix);
    }
    from_template_ = true;
  }

  /// A conversation for the model to answer: the last message is the user's.
  template <class = detail::if_called>
  chat_text operator()(std::span<const chat_message> messages) const {
    return lay_out(messages, false);
  }
  /// A conversation to be trained on: the last message is the assistant's.
  template <class = detail::if_called>
  chat_text answered(std::span<const chat_message> messages) const {
    return lay_out(messages, true);
  }
  /// A single question, without a system message of its own.
  template <class = detail::if_called>
  chat_text operator()(std::string_view question) const {
    const chat_message message{chat_role::user, std::string(question)};
    return (*this)(detail::span_of(&message, 1));
  }

  const chat_format& format() const noexcept { return format_; }

 private:
  // Both forms of a conversation. A piece ends after each end token, so that its text is tokenised as a whole.
  template <class = detail::if_called>
  chat_text lay_out(std::span<const chat_message> messages, bool answered) const {
    chat_text out{.pieces = {}, .response_prefix = {}, .stop = format_.stop, .answered = answered};
    if (!answered) out.response_prefix = format_.response_prefix;
    std::string system = format_.default_system;
    bool own_system = false, templated = from_template_;
    if (!messages.empty() && messages.front().role == chat_role::system) {
      system = messages.front().text;
      own_system = true;
      if (!system.empty()) templated = false;
      messages = detail::span_of(messages.data() + 1, messages.size() - 1);
    }
    require_argument(!messages.empty() && messages.size() % 2 == (answered ? 0 : 1),
                     answered ? "a conversation to be trained on must end with an assistant message"
                              : "a conversation to be answered must end with a user message");
    chat_piece piece{.text = {}, .begin = true, .end = false};
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const bool user = i % 2 == 0;
      require_argument(messages[i].role == (user ? chat_role::user : chat_role::assistant),
                       "message " + std::to_string(i + 1) + " of a conversation is not the " +
                           (user ? "user's" : "assistant's") + ": the two must take turns");
      if (user) {
        add_question(piece, messages[i].text, i == 0 ? system : std::string(),
                     {.first = i == 0, .own_system = own_system, .templated = templated});
        continue;
      }
      const bool last = i + 1 == messages.size();
      add_reply(piece, messages[i], last);
      if (!piece.end) continue;
      out.pieces.push_back(std::move(piece));
      piece = {.text = {}, .begin = format_.begin_each_exchange, .end = false};
    }
    if (!answered || !piece.text.empty()) out.pieces.push_back(std::move(piece));
    return out;
  }

  // Where a user message is in its conversation.
  struct question_place {
    bool first = false;       // the system text goes with it
    bool own_system = false;  // that text is a message of the conversation, not the format's default
    bool templated = false;   // the text around it is an inference template's
  };

  // Appends a user message, with the system text where the format puts it, and what the format writes up to the reply.
  template <class = detail::if_called>
  void add_question(chat_piece& piece, const std::string& question, const std::string& system,
                    const question_place& place) const {
    const bool first = place.first, templated = place.templated;
    const bool has_system = first && !templated && !system.empty();
    const auto add_system = [&](std::string_view words) {
      piece.text += format_.system_prefix;
      append_text(piece, words, place.own_system);
      piece.text += format_.system_suffix;
    };
    if (has_system && !format_.system_inside_user) add_system(system);
    piece.text += first && templated ? before_first_ : format_.user_prefix;
    if (has_system && format_.system_inside_user) {
      // White space around the two as one message is dropped, but not the white space between them.
      const bool framed = !format_.system_prefix.empty();
      add_system(framed ? std::string_view(system) : trim(system, true, false));
      append_text(piece, trim(question, false, true), true);
      if (trim(question, true, true).empty()) piece.text.resize(trim(piece.text, false, true).size());
    } else {
      append_text(piece, trim(question, true, true), true);
    }
    piece.text +=
        first && templated && !after_first_.empty() ? after_first_ : format_.user_suffix + format_.assistant_prefix;
  }

  // Appends an assistant message. An earlier reply is followed by another message, the last one by nothing that the
  // model does not write itself.
  template <class = detail::if_called>
  void add_reply(chat_piece& piece, const chat_message& reply, bool last) const {
    piece.text += format_.response_prefix;
    auto border = piece.text.size();
    while (border > 0 && piece.text[border - 1] == ' ') --border;
    piece.text += format_.history_gap;
    append_text(piece, trim(reply.text, true, true), true);
    chat_reply place{.begin = border, .end = piece.text.size(), .weight = reply.weight, .finished = reply.finished};
    if (!last || (format_.end_each_reply && reply.finished)) piece.text += format_.assistant_suffix;
    if (format_.end_each_reply && reply.finished) place.end = piece.text.size();
    piece.end = last ? reply.finished : format_.end_each_reply;
    piece.replies.push_back(place);
  }

  // Appends text; that of a message is recorded as such, so that words in it never become special tokens.
  template <class = detail::if_called>
  static void append_text(chat_piece& piece, std::string_view words, bool message) {
    const auto begin = piece.text.size();
    piece.text += words;
    if (message && !words.empty()) piece.messages.push_back({begin, piece.text.size()});
  }

  // A message without white space at its front and back, where asked for and if the format trims messages.
  template <class = detail::if_called>
  std::string_view trim(std::string_view message, bool front, bool back) const {
    if (!format_.trim_messages) return message;
    while (front && detail::leading_white_space(message) > 0)
      message.remove_prefix(detail::leading_white_space(message));
    for (std::size_t bytes = 1; back && bytes <= 3 && bytes <= message.size();) {
      const bool space = detail::leading_white_space(message.substr(message.size() - bytes)) == bytes;
      if (space) message.remove_suffix(bytes);
      bytes = space ? 1 : bytes + 1;
    }
    return message;
  }

  chat_format format_;
  std::string before_first_, after_first_;  // texts of the inference template around the first user message
  bool from_template_ = false;
};

}  // namespace coho::inline v0_1
