#pragma once

#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/error.hpp>
#include <coho/packed.hpp>
#include <coho/prompt/template.hpp>

namespace coho {

enum class chat_role : std::uint8_t { system, user, assistant };

/// One message of a conversation.
struct chat_message {
  chat_role role = chat_role::user;
  std::string text{};
};

/// How a chat model lays a conversation out. Every member is text; where the model's begin and end tokens go is told by
/// the three flags, because those are token ids and not text.
struct chat_format {
  std::string name{};
  std::string default_system{};  ///< system text of conversations that have none; may be empty
  std::string system_prefix{};   ///< around the system text; both left out when that text is empty
  std::string system_suffix{};
  bool system_inside_user = false;  ///< the system text stands behind the first `user_prefix`, not in front of it
  std::string user_prefix{};
  std::string user_suffix{};
  std::string assistant_prefix{};    ///< the last words of a prompt
  std::string response_prefix{};     ///< fixed beginning of every response, not learnt and not shown
  std::string history_gap{};         ///< in front of an earlier reply: what the model itself wrote ahead of its words
  std::string assistant_suffix{};    ///< behind an assistant message that another message follows
  bool begin_each_exchange = false;  ///< begin token in front of each user message, not only the first
  bool end_each_reply = false;       ///< end token behind each assistant message of the history
  bool trim_messages = false;        ///< no white space around messages; a system text inside one is part of it
  std::vector<std::string> stop{};   ///< stop strings of a response, besides the end token
};

/// A stretch of a prompt's text and the special tokens around it.
struct chat_piece {
  std::string text;
  bool begin = false;  ///< the begin token comes before the text
  bool end = false;    ///< the end token comes behind it
  friend bool operator==(const chat_piece&, const chat_piece&) = default;
};

/// A laid-out conversation: what the model reads, how its response has to begin, where the response stops.
struct chat_text {
  std::vector<chat_piece> pieces;
  std::string response_prefix;
  std::vector<std::string> stop;

  /// All text, the response prefix last, with the given spellings of the begin and end tokens (none by default).
  template <class = void>
  std::string text(std::string_view begin = {}, std::string_view end = {}) const {
    std::string out;
    for (const auto& piece : pieces) {
      out.append(piece.begin ? begin : std::string_view{})
          .append(piece.text)
          .append(piece.end ? end : std::string_view{});
    }
    return out.append(response_prefix);
  }

  /// All tokens, by a tokenizer that satisfies `tokenizer` of concepts.hpp and the model's begin token. The last piece
  /// and the response prefix are encoded as one text, so that no word is split between them.
  template <class Tokenizer>
  std::vector<token> tokens(const Tokenizer& tokenizer, token begin) const {
    std::vector<token> out;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (pieces[i].begin) out.push_back(begin);
      const std::string whole = i + 1 == pieces.size() ? pieces[i].text + response_prefix : pieces[i].text;
      for (const auto id : tokenizer.encode(std::string_view(whole))) out.push_back(static_cast<token>(id));
      if (pieces[i].end) out.push_back(tokenizer.eos());
    }
    return out;
  }
};

/// The forms that published models were trained on.
namespace chat_formats {

/// Headings in the way of Dromedary: "### User" and "### <assistant>". The preamble (an inference template without
/// placeholder) may already end with the first user heading; it is not written twice.
template <class = void>
chat_format dromedary(std::string preamble = {}, std::string_view assistant = "Dromedary") {
  const std::string_view heading = "### User";
  while (!preamble.empty() && preamble.back() == '\n') preamble.pop_back();
  if (preamble.ends_with(heading)) preamble.resize(preamble.size() - heading.size());
  while (!preamble.empty() && preamble.back() == '\n') preamble.pop_back();
  return {.name = "dromedary",
          .default_system = std::move(preamble),
          .system_prefix = "",
          .system_suffix = "\n\n",
          .user_prefix = "### User\n",
          .user_suffix = "\n\n",
          .assistant_prefix = "### " + std::string(assistant),
          .response_prefix = "\n",
          .history_gap = "",
          .assistant_suffix = "\n\n",
          .stop = {"### User"}};
}

/// LLaMA-2-Chat: instruction marks, the system text inside the first of them, begin and end tokens around each
/// exchange, no white space around messages.
template <class = void>
chat_format llama2_chat() {
  return {.name = "llama2_chat",
          .default_system = "",
          .system_prefix = "<<SYS>>\n",
          .system_suffix = "\n<</SYS>>\n\n",
          .system_inside_user = true,
          .user_prefix = "[INST] ",
          .user_suffix = " ",
          .assistant_prefix = "[/INST]",
          .response_prefix = "",
          .history_gap = " ",
          .assistant_suffix = " ",
          .begin_each_exchange = true,
          .end_each_reply = true,
          .trim_messages = true,
          .stop = {}};
}

/// Vicuna (1.1 and later): names with a colon, an end token behind each reply.
template <class = void>
chat_format vicuna() {
  return {.name = "vicuna",
          .default_system = "",
          .system_prefix = "",
          .system_suffix = " ",
          .user_prefix = "USER: ",
          .user_suffix = " ",
          .assistant_prefix = "ASSISTANT:",
          .response_prefix = "",
          .history_gap = " ",
          .assistant_suffix = "",
          .end_each_reply = true,
          .stop = {"USER:"}};
}

/// Mistral Instruct: instruction marks, one begin token in front, the system text ahead of the first message.
template <class = void>
chat_format mistral() {
  return {.name = "mistral",
          .default_system = "",
          .system_prefix = "",
          .system_suffix = "\n\n",
          .system_inside_user = true,
          .user_prefix = "[INST] ",
          .user_suffix = " ",
          .assistant_prefix = "[/INST]",
          .response_prefix = "",
          .history_gap = " ",
          .assistant_suffix = "",
          .end_each_reply = true,
          .stop = {}};
}

/// The form of that name: dromedary, llama2_chat, vicuna or mistral. Throws `option_error` for another.
template <class = void>
chat_format by_name(std::string_view name) {
  if (name == "dromedary") return dromedary();
  if (name == "llama2_chat") return llama2_chat();
  if (name == "vicuna") return vicuna();
  require_option(name == "mistral", "chat_format", name, "dromedary, llama2_chat, vicuna or mistral");
  return mistral();
}

}  // namespace chat_formats

/// An instruction and its optional input as one user message: the input stands below the instruction, a blank line
/// between.
template <class = void>
std::string full_instruction(std::string_view instruction, std::string_view input = {}) {
  std::string out(instruction);
  if (!input.empty()) out.append("\n\n").append(input);
  return out;
}

/// Lays conversations out for a model to answer.
///
/// Construction throws `option_error` for an empty stop string, and if user suffix and assistant prefix are both empty.
/// The call throws `argument_error` unless the messages are: at most one system message first, then user and assistant
/// in turn, the last one the user's.
///
///     coho::chat_prompt prompt(coho::chat_formats::vicuna());
///     coho::chat_text chat = prompt("What is the weather?");
///     std::string text = chat.text();
class chat_prompt {
 public:
  template <class = void>
  explicit chat_prompt(chat_format format) : format_(std::move(format)) {
    require_option(!format_.assistant_prefix.empty() || !format_.user_suffix.empty(), "assistant_prefix", "\"\"",
                   "given when user_suffix is empty, else nothing separates question and answer");
    for (const auto& stop : format_.stop) require_option(!stop.empty(), "stop", "\"\"", "not empty");
  }

  /// Takes the text around a question from an inference template: all of it as system text if it has no {Input}, else
  /// the text in front of {Input} as that and the text behind it instead of user suffix and assistant prefix. The
  /// system text of a conversation that brings its own takes the place of the template's, unless text stands behind
  /// {Input}: then the call throws `argument_error`.
  template <class = void>
  chat_prompt(chat_format format, const prompt_template& inference) : chat_prompt(std::move(format)) {
    require_argument(inference.kind() == template_kind::inference,
                     inference.source_name() + ": not an inference template");
    format_.default_system.clear();
    head_ = inference.shared_prefix();
    if (inference.uses("Input")) {
      behind_first_ = inference.tail();
    } else {
      // The template may or may not go as far as the first user's heading.
      std::string_view heading = format_.user_prefix;
      while (heading.ends_with('\n') || heading.ends_with(' ')) heading.remove_suffix(1);
      if (!heading.empty() && head_.ends_with(heading)) head_.resize(head_.size() - heading.size());
      while (head_.ends_with('\n') || head_.ends_with(' ')) head_.pop_back();
      if (!head_.empty()) head_.append(format_.system_suffix);
      head_.append(format_.user_prefix);
    }
    from_template_ = true;
  }

  template <class = void>
  chat_text operator()(std::span<const chat_message> messages) const {
    chat_text out{.pieces = {}, .response_prefix = format_.response_prefix, .stop = format_.stop};
    std::string system = format_.default_system;
    bool templated = from_template_;
    if (!messages.empty() && messages.front().role == chat_role::system) {
      system = messages.front().text;
      if (!system.empty()) templated = false;
      require_argument(templated || behind_first_.empty(),
                       "the inference template has text behind {Input}: a conversation cannot bring a system text");
      messages = detail::span_of(messages.data() + 1, messages.size() - 1);
    }
    require_argument(!messages.empty() && messages.size() % 2 == 1,
                     "a conversation to be answered must end with a user message");
    if (!system.empty()) system = format_.system_prefix + system + format_.system_suffix;

    chat_piece piece{.text = {}, .begin = true, .end = false};
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const bool user = i % 2 == 0;
      require_argument(messages[i].role == (user ? chat_role::user : chat_role::assistant),
                       "message " + std::to_string(i + 1) + " of a conversation is not the " +
                           (user ? "user's" : "assistant's") + ": the two must take turns");
      if (user) {
        const bool leads = i == 0 && !templated;
        if (leads && !format_.system_inside_user) piece.text += system;
        piece.text += i == 0 && templated ? head_ : format_.user_prefix;
        piece.text += shown(leads && format_.system_inside_user ? system + messages[i].text : messages[i].text);
        piece.text += i == 0 && !behind_first_.empty() ? behind_first_ : format_.user_suffix + format_.assistant_prefix;
      } else {
        piece.text +=
            format_.response_prefix + format_.history_gap + shown(messages[i].text) + format_.assistant_suffix;
        if (format_.end_each_reply) {
          piece.end = true;
          out.pieces.push_back(std::move(piece));
          piece = {.text = {}, .begin = format_.begin_each_exchange, .end = false};
        }
      }
    }
    out.pieces.push_back(std::move(piece));
    return out;
  }
  /// A single question.
  template <class = void>
  chat_text operator()(std::string_view question) const {
    const chat_message message{chat_role::user, std::string(question)};
    return (*this)(detail::span_of(&message, 1));
  }

  const chat_format& format() const noexcept { return format_; }

 private:
  template <class = void>
  std::string shown(std::string_view message) const {
    constexpr std::string_view spaces = " \t\r\n\f\v";
    if (!format_.trim_messages) return std::string(message);
    const auto first = message.find_first_not_of(spaces);
    if (first == std::string_view::npos) return {};
    return std::string(message.substr(first, message.find_last_not_of(spaces) - first + 1));
  }

  chat_format format_;
  std::string head_, behind_first_;
  bool from_template_ = false;
};

}  // namespace coho
