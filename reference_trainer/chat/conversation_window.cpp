#include "chat/conversation_window.hpp"

#include <utility>

#include <nlohmann/json.hpp>

namespace coho::trainer {

std::vector<token> fit_conversation(const prompter& prompts, std::vector<chat_message>& messages, std::size_t limit) {
  auto tokens = prompts.tokens(messages);
  while (tokens.size() > limit && drop_oldest_exchange(messages)) tokens = prompts.tokens(messages);
  return tokens;
}

json conversation_json(std::span<const chat_message> messages) {
  json list = json::array();
  for (const auto& message : messages) {
    const char* role = message.role == chat_role::system ? "system"
                       : message.role == chat_role::user ? "user"
                                                         : "assistant";
    list.push_back({{"role", role}, {"content", message.text}});
  }
  json out;
  out["messages"] = std::move(list);
  return out;
}

}  // namespace coho::trainer
