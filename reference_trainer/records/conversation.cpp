#include "records/conversation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "jsonl/dropped_parts.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

// Reads one message of a list; errors name its place.
class message_reader {
 public:
  message_reader(const json& message, std::size_t number, const record_fields& record, std::string_view field)
      : message_(message),
        record_(record),
        where_("field \"" + std::string(field) + "\", message " + std::to_string(number)) {}

  // The message; a call of a tool is refused, and thoughts next to an answer are counted as dropped.
  chat_message operator()() const {
    const bool hub = message_.is_object() && message_.contains("role");
    const bool share = message_.is_object() && message_.contains("from");
    if ((!hub && !share) || !message_.at(hub ? "role" : "from").is_string())
      record_.fail(where_ + " is neither {role, content} nor {from, value}");
    chat_message out{.role = parse_role(message_.at(hub ? "role" : "from").get<std::string>())};
    for (const auto* name : {"tool_calls", "function_call"})
      if (message_.contains(name) && !message_.at(name).is_null() && !message_.at(name).empty())
        record_.fail(where_ + " calls a tool (\"" + name + "\")", "remove conversations with tools");
    out.text = read_text(hub ? "content" : "value");
    if (out.role != chat_role::assistant) return out;
    out.weight = read_weight();
    for (const auto* name : {"reasoning_content", "reasoning", "thinking"})
      if (message_.contains(name) && message_.at(name).is_string() && message_.at(name) != "")
        dropped_parts::of_run().add(
            "an assistant's \"" + std::string(name) + "\" next to its answer, which is left out", record_.at());
    return out;
  }

  [[noreturn]] void fail(std::string_view what, std::string_view mend = {}) const {
    record_.fail(where_ + std::string(what), mend);
  }

 private:
  // The names of Hugging Face's, ShareGPT's and OpenAssistant's collections.
  chat_role parse_role(const std::string& name) const {
    const auto is = [&](auto... names) { return ((name == names) || ...); };
    if (is("user", "human", "prompter")) return chat_role::user;
    if (is("assistant", "gpt", "chatgpt", "model", "bot")) return chat_role::assistant;
    if (is("system", "developer")) return chat_role::system;
    if (is("tool", "function", "function_call", "observation", "ipython", "tool_call", "tool_response"))
      fail(" is a tool's (\"" + name + "\")", "remove conversations with tools");
    fail(" is from \"" + name.substr(0, 40) + "\"",
         "the known speakers are user, human, prompter, assistant, gpt, model and system");
  }

  // The content: text, or the texts of a list of parts, joined.
  std::string read_text(const char* name) const {
    if (!message_.contains(name))
      fail(" is neither {role, content} nor {from, value}: it has no \"" + std::string(name) + "\"");
    const json& content = message_.at(name);
    if (content.is_string()) return content.get<std::string>();
    if (!content.is_array()) fail(" has no text: \"" + std::string(name) + "\" is of type " + content.type_name());
    std::string out;
    for (const auto& part : content) {
      if (!part.is_object() || !part.contains("text") || !part.at("text").is_string() ||
          (part.contains("type") && part.at("type") != "text"))
        fail(" has a part that is not text" + (part.is_object() && part.contains("type") && part.at("type").is_string()
                                                   ? " (\"" + part.at("type").get<std::string>().substr(0, 40) + "\")"
                                                   : std::string()),
             "remove conversations with images, sound or files");
      out += part.at("text").get<std::string>();
    }
    return out;
  }

  // 1 if the message has none.
  double read_weight() const {
    if (!message_.contains("weight") || message_.at("weight").is_null()) return 1;
    const json& weight = message_.at("weight");
    if (!weight.is_number() || !(weight.get<double>() >= 0) || !std::isfinite(weight.get<double>()))
      fail(" has a weight that is not a number of at least 0");
    return weight.get<double>();
  }

  const json& message_;
  const record_fields& record_;
  std::string where_;
};

// As errors name it.
std::string_view role_name(chat_role role) {
  return role == chat_role::user ? "user" : role == chat_role::assistant ? "assistant" : "system";
}

struct heading {
  std::size_t begin, end;  // of its words
  chat_role role;
};

// "Human:" or "Assistant:" at the beginning of a line; after a blank line if `apart`.
std::optional<heading> next_heading(std::string_view text, std::size_t from, bool apart) {
  const auto first = text.find_first_not_of(" \t\r\n");
  for (std::size_t at = from; at < text.size(); ++at) {
    const bool line = at == first || (at > 0 && text[at - 1] == '\n' && (!apart || (at > 1 && text[at - 2] == '\n')));
    if (!line) continue;
    if (text.substr(at).starts_with(human_heading)) return heading{at, at + human_heading.size(), chat_role::user};
    if (text.substr(at).starts_with(assistant_heading))
      return heading{at, at + assistant_heading.size(), chat_role::assistant};
  }
  return std::nullopt;
}

// Whether any heading after the first follows a blank line: then those that do not are part of a message.
bool has_blank_line_headings(std::string_view text) {
  return text.find("\n\nAssistant:") != std::string_view::npos || text.find("\n\nHuman:", 2) != std::string_view::npos;
}

}  // namespace

conversation read_conversation(const json& list, const record_fields& record, std::string_view field, bool continues) {
  const auto where = "field \"" + std::string(field) + "\"";
  if (!list.is_array() || list.empty()) record.fail(where + " must be a list of messages that is not empty");
  conversation out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const message_reader read(list[i], i + 1, record, field);
    auto message = read();
    const bool blank = trim_white_space(message.text).empty();
    if (message.role == chat_role::system) {
      if (!out.turns.empty()) read.fail(" is the system's, but follows other messages", "put the system text first");
      if (!blank) out.system += (out.system.empty() ? "" : "\n\n") + message.text;
      continue;
    }
    if (blank) read.fail(" is empty", "remove the conversation, or end it before that message");
    const auto due = (out.turns.size() % 2 == 0) != continues ? chat_role::user : chat_role::assistant;
    if (message.role != due)
      read.fail(" is the " + std::string(role_name(message.role)) + "'s where the " + std::string(role_name(due)) +
                    "'s is expected",
                "user and assistant set_system turns, the user first");
    out.turns.push_back(std::move(message));
  }
  if (out.turns.empty()) record.fail(where + " has no message of a user");
  return out;
}

bool is_list_of_messages(const record_fields& record, std::string_view name) {
  return record.has(name) && record[name].is_array() && !record[name].empty() && record[name][0].is_object();
}

std::vector<chat_message> read_history(const record_fields& record) {
  if (!record.has("history") || record["history"].is_null()) return {};
  const json& list = record["history"];
  const auto wrong = [&] { record.fail_type("history", "a list of [question, answer] pairs, or of messages"); };
  if (list == "") return {};
  if (!list.is_array()) wrong();
  if (list.empty()) return {};
  std::vector<chat_message> out;
  if (is_list_of_messages(record, "history")) {
    out = read_conversation(list, record, "history").turns;
    if (out.back().role != chat_role::assistant)
      record.fail("field \"history\" does not end with an answer", "the last question is the record's own");
  } else {
    for (const auto& pair : list) {
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) wrong();
      out.push_back({chat_role::user, pair[0].get<std::string>()});
      out.push_back({chat_role::assistant, pair[1].get<std::string>()});
    }
  }
  for (const auto& message : out)
    if (trim_white_space(message.text).empty()) record.fail("field \"history\" has an empty message");
  if (!record.has("history_weights")) return out;
  const json& weights = record["history_weights"];
  const auto is_weight = [](const json& w) {
    return w.is_number() && w.get<double>() >= 0 && std::isfinite(w.get<double>());
  };
  if (!weights.is_array() || weights.size() * 2 != out.size() || !std::ranges::all_of(weights, is_weight))
    record.fail("field \"history_weights\" must have a number of at least 0 for each answer of the history");
  for (std::size_t i = 0; i < weights.size(); ++i) out[2 * i + 1].weight = weights[i].get<double>();
  return out;
}

std::string read_system(const record_fields& record) {
  std::string out;
  std::string_view from;
  const auto set_system = [&](std::string_view name, std::string text) {
    if (trim_white_space(text).empty()) return;
    if (!out.empty() && out != text)
      record.fail("\"" + std::string(from) + "\" and \"" + std::string(name) + "\" have different system texts",
                  "remove one of them");
    out = std::move(text);
    from = name;
  };
  set_system("system", record.optional_text("system"));
  set_system("system_prompt", record.optional_text("system_prompt"));
  if (is_list_of_messages(record, "history"))
    set_system("history", read_conversation(record["history"], record, "history").system);
  return out;
}

void merge_columns(conversation& talk, const record_fields& record) {
  auto system = read_system(record);
  if (!system.empty() && !talk.system.empty() && system != talk.system)
    record.fail("the conversation has a system message and the record has another system text", "remove one of them");
  if (talk.system.empty()) talk.system = std::move(system);
  auto history = read_history(record);
  if (history.empty()) return;
  if (talk.turns.size() > 1) record.fail("the record has both a conversation and a \"history\"", "merge the two");
  talk.turns.insert(talk.turns.begin(), std::make_move_iterator(history.begin()),
                    std::make_move_iterator(history.end()));
}

bool is_transcript(std::string_view text) {
  if (!trim_white_space(text).starts_with(human_heading)) return false;
  const auto whole = unify_line_breaks(text);
  auto at = next_heading(whole, 0, false);
  while (at && at->role != chat_role::assistant) at = next_heading(whole, at->end, false);
  return at.has_value();
}

std::vector<chat_message> read_transcript(std::string_view text) {
  const auto whole = unify_line_breaks(text);
  const bool apart = has_blank_line_headings(whole);
  std::vector<chat_message> out;
  for (auto at = next_heading(whole, 0, apart); at;) {
    const auto next = next_heading(whole, at->end, apart);
    const auto end = next ? next->begin : whole.size();
    const auto words = trim_white_space(std::string_view(whole).substr(at->end, end - at->end));
    if (!out.empty() && out.back().role == at->role) {
      if (!words.empty()) out.back().text.append(out.back().text.empty() ? "" : "\n\n").append(words);
    } else {
      out.push_back({at->role, std::string(words)});
    }
    at = next;
  }
  if (!out.empty() && out.back().role == chat_role::assistant && out.back().text.empty()) out.pop_back();
  return out;
}

std::string dialogue_text(const conversation& talk) {
  std::string out = talk.system.empty() ? "" : talk.system + "\n\n";
  const char* gap = "";
  for (const auto& turn : talk.turns) {
    out += std::exchange(gap, "\n\n");
    if (talk.turns.size() > 1) out.append(turn.role == chat_role::user ? human_heading : assistant_heading).append(" ");
    out += turn.text;
  }
  return out;
}

std::string continuation_text(std::span<const chat_message> turns) {
  std::string out;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    if (i > 0)
      out.append("\n\n").append(turns[i].role == chat_role::user ? human_heading : assistant_heading).append(" ");
    out += turns[i].text;
  }
  return out;
}

}  // namespace coho::trainer
