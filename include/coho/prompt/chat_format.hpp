#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/error.hpp>

namespace coho::inline v0_1 {

/// How a chat model lays out a conversation. Every string member is text; the three flags place the model's begin and
/// end tokens, because those are token ids and not text.
struct chat_format {
  std::string name{};
  std::string default_system{};  ///< system text of conversations without one; may be empty
  std::string system_prefix{};   ///< around the system text; both are omitted when that text is empty
  std::string system_suffix{};
  bool system_inside_user = false;  ///< the system text comes after the first `user_prefix`, not before it
  std::string user_prefix{};
  std::string user_suffix{};
  std::string assistant_prefix{};    ///< the last text of a prompt
  std::string response_prefix{};     ///< fixed beginning of every response, not trained on and not shown
  std::string history_gap{};         ///< before an earlier reply: what the model itself wrote before its words
  std::string assistant_suffix{};    ///< after an assistant message that another message follows
  bool begin_each_exchange = false;  ///< begin token before each user message, not only the first
  bool end_each_reply = false;       ///< end token after each assistant message of the history
  bool trim_messages = false;        ///< strips white space (any Unicode) around messages; a system text inside a
                                     ///< message is part of it
  std::vector<std::string> stop{};   ///< stop strings of a response, in addition to the end token
};

/// The formats that published models were trained on.
namespace chat_formats {

/// Headings in the style of Dromedary: "### User" and "### <assistant>". The preamble (an inference template without
/// placeholders) may already end with the first user heading, which is then not repeated.
template <class = detail::if_called>
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
template <class = detail::if_called>
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

/// Vicuna (1.1 and later): names with a colon, an end token after each reply. The system text that it was trained with
/// is not included: give it as a system message.
template <class = detail::if_called>
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

/// Mistral Instruct: instruction marks, one begin token at the start, the system text before the first message.
template <class = detail::if_called>
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

/// The format with that name: dromedary (with an empty preamble), llama2_chat, vicuna or mistral. Throws `option_error`
/// for any other.
template <class = detail::if_called>
chat_format by_name(std::string_view name) {
  if (name == "dromedary") return dromedary();
  if (name == "llama2_chat") return llama2_chat();
  if (name == "vicuna") return vicuna();
  require_option(name == "mistral", "chat_format", name, "dromedary, llama2_chat, vicuna or mistral");
  return mistral();
}

}  // namespace chat_formats

}  // namespace coho::inline v0_1
