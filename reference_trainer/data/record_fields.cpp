#include "data/record_fields.hpp"

namespace coho::trainer {

std::string record_fields::text(std::string_view name) const {
  if (!has(name)) fail("field \"" + std::string(name) + "\" is missing");
  if (!(*this)[name].is_string()) wrong(name, "text");
  return (*this)[name].get<std::string>();
}

std::string record_fields::optional_text(std::string_view name) const {
  return has(name) && !(*this)[name].is_null() ? text(name) : std::string();
}

double record_fields::number(std::string_view name) const {
  if (!has(name)) fail("field \"" + std::string(name) + "\" is missing");
  if (!(*this)[name].is_number()) wrong(name, "a number");
  return (*this)[name].get<double>();
}

std::optional<double> record_fields::optional_number(std::string_view name) const {
  return has(name) && !(*this)[name].is_null() ? std::optional(number(name)) : std::nullopt;
}

bool record_fields::flag(std::string_view name) const {
  if (!has(name)) fail("field \"" + std::string(name) + "\" is missing");
  if (!(*this)[name].is_boolean()) wrong(name, "true or false");
  return (*this)[name].get<bool>();
}

void record_fields::wrong(std::string_view name, std::string_view expected) const {
  const auto type = std::string((*this)[name].type_name());
  fail("field \"" + std::string(name) + "\" is of type " + type + ", expected " + std::string(expected));
}

void record_fields::unknown_form(std::string_view kind, std::string_view accepted) const {
  std::string seen;
  if (value_.is_object()) {
    std::size_t shown = 0;
    for (const auto& [name, ignored] : value_.items()) {
      if (++shown > 12) {
        seen += ", …";
        break;
      }
      seen += (seen.empty() ? "" : ", ") + name.substr(0, 40);
    }
    seen = seen.empty() ? "an empty object" : "a record with the fields " + seen;
  } else {
    seen = "a JSON value of type " + std::string(value_.type_name());
  }
  fail("not a " + std::string(kind) + " record: found " + seen, "accepted are " + std::string(accepted));
}

std::vector<chat_turn> read_turns(const json& list, const record_fields& record, std::string_view field) {
  const auto where = "field \"" + std::string(field) + "\"";
  if (!list.is_array() || list.empty()) record.fail(where + " must be a list of messages that is not empty");
  std::vector<chat_turn> turns;
  for (const auto& message : list) {
    const bool hub = message.is_object() && message.contains("role") && message.contains("content");
    const bool share = message.is_object() && message.contains("from") && message.contains("value");
    const char* role_name = hub ? "role" : "from";
    const char* text_name = hub ? "content" : "value";
    if ((!hub && !share) || !message.at(role_name).is_string() || !message.at(text_name).is_string()) {
      record.fail(where + " holds a message that is neither {role, content} nor {from, value} with text in both");
    }
    const auto role = message.at(role_name).get<std::string>();
    chat_turn turn{chat_turn::speaker::user, message.at(text_name).get<std::string>()};
    if (role == "assistant" || role == "gpt" || role == "chatgpt" || role == "model" || role == "bot") {
      turn.role = chat_turn::speaker::assistant;
    } else if (role == "system") {
      turn.role = chat_turn::speaker::system;
    } else if (role != "user" && role != "human" && role != "prompter") {
      record.fail(where + " has a message from \"" + role.substr(0, 40) + "\"",
                  "known are user, human, prompter, assistant, gpt, system");
    }
    turns.push_back(std::move(turn));
  }
  return turns;
}

std::string prompt_text(const std::vector<chat_turn>& turns) {
  std::string system, dialogue;
  std::size_t spoken = 0;
  for (const auto& turn : turns) spoken += turn.role != chat_turn::speaker::system;
  for (const auto& turn : turns) {
    if (turn.role == chat_turn::speaker::system) {
      system += turn.content + "\n\n";
      continue;
    }
    if (!dialogue.empty()) dialogue += "\n\n";
    if (spoken > 1) dialogue += turn.role == chat_turn::speaker::user ? "Human: " : "Assistant: ";
    dialogue += turn.content;
  }
  return system + dialogue;
}

}  // namespace coho::trainer
