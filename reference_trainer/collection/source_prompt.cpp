#include "collection/source_prompt.hpp"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/reward/empty_response.hpp>

#include "jsonl/dropped_parts.hpp"
#include "jsonl/record_fields.hpp"
#include "records/conversation.hpp"
#include "records/foreign_records.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

// A blank text is removed as `empty`.
void set_instruction(source_prompt& out, std::string text) {
  if (is_blank(text)) out.removed = prompt_removal::empty;
  out.prompt.instruction = std::move(text);
}

// A text that a collection may leave null.
void set_instruction(source_prompt& out, const record_fields& fields, std::string_view name) {
  set_instruction(out, fields.optional_text(name));
}

// Counts a system message that a prompt leaves out, for the notice at the run's end.
void count_dropped_system(const record_fields& fields) {
  dropped_parts::of_run().add("a system text, which is left out: `prompts` keeps questions", fields.at());
}
// The same for the turns of a conversation after its first.
void count_dropped_turns(const record_fields& fields) {
  dropped_parts::of_run().add("later questions, which are left out: `prompts` keeps the first", fields.at());
}

// "\n\nHuman: first query\n\nAssistant: …" or only the query.
std::string first_question(const record_fields& fields, const std::string& dialogue) {
  constexpr std::string_view human = "Human:";
  if (is_transcript(dialogue)) {
    const auto turns = read_transcript(dialogue);
    if (turns.size() > 2) count_dropped_turns(fields);
    return turns.front().text;
  }
  const auto text = trim_white_space(dialogue);
  if (!text.starts_with(human)) return dialogue;
  return std::string(trim_white_space(text.substr(human.size())));
}

enum class speaker { user, system, other };

// By the names of Hugging Face's, ShareGPT's and OpenAssistant's collections.
speaker parse_speaker(const json& message, const char* field) {
  const auto& role = message.at(field);
  if (role == "user" || role == "human" || role == "prompter") return speaker::user;
  return role == "system" ? speaker::system : speaker::other;
}

// The first message of a list of {role, content} or {from, value}; what follows is only looked at to count what is
// dropped.
void read_first_turn(source_prompt& out, const json& list, const record_fields& fields, std::string_view name) {
  const auto where = "field \"" + std::string(name) + "\"";
  if (!list.is_array()) fields.fail_type(name, "a list of messages");
  bool found = false;
  for (const auto& message : list) {
    const bool hub = message.is_object() && message.contains("role") && message.contains("content");
    const bool share = message.is_object() && message.contains("from") && message.contains("value");
    if (!hub && !share) {
      if (found) break;
      fields.fail(where + " contains a message that is neither {role, content} nor {from, value}");
    }
    const auto who = parse_speaker(message, hub ? "role" : "from");
    const auto& text = message.at(hub ? "content" : "value");
    if (who == speaker::system) {
      if (!found && text.is_string() && !is_blank(text.get<std::string>())) count_dropped_system(fields);
      continue;
    }
    if (found) {
      if (who == speaker::other) continue;
      count_dropped_turns(fields);
      break;
    }
    if (who == speaker::other) {
      out.removed = prompt_removal::not_first_turn;
      return;
    }
    if (!text.is_string() && !text.is_null()) fields.fail(where + " contains a message whose text is not a string");
    set_instruction(out, text.is_null() ? std::string() : text.get<std::string>());
    found = true;
  }
  if (!found) out.removed = prompt_removal::empty;
}

// "QWJhYvA_3": the fourth part of a conversation that was too long for a context. ShareGPT's own ids have seven letters
// and digits; other names followed by a number count conversations.
bool is_later_tree_message(const record_fields& fields) {
  constexpr std::size_t stem = 7;
  if (!fields.has("id") || !fields["id"].is_string()) return false;
  const auto id = fields.text("id");
  if (id.size() < stem + 2 || id.size() > stem + 5 || id[stem] != '_') return false;
  const auto number = std::string_view(id).substr(stem + 1);
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  const auto is_letter = [](unsigned char c) { return std::isalnum(c) != 0; };
  return number != "0" && std::ranges::all_of(number, is_digit) &&
         std::ranges::all_of(std::string_view(id).substr(0, stem), is_letter);
}

// OpenOrca's ids name the part of FLAN that a question comes from: "cot.1234" is one of its reasoning problems.
std::string id_prefix(const record_fields& fields) {
  const auto id = fields.text_or_empty("id");
  const auto point = id.find('.');
  return point == std::string::npos ? std::string() : id.substr(0, point);
}

bool is_false(const json& object, const char* name) { return object.contains(name) && object.at(name) == false; }
bool is_true(const json& object, const char* name) { return object.contains(name) && object.at(name) == true; }

// A message of OpenAssistant: the root of a tree, or one of the list of all messages.
void read_tree_message(source_prompt& out, const json& message, const record_fields& fields) {
  const auto& text = message.at("text");
  if (!text.is_string() && !text.is_null()) fields.fail("field \"text\" is not a text");
  if (message.contains("lang") && message.at("lang").is_string())
    out.prompt.language = message.at("lang").get<std::string>();
  set_instruction(out, text.is_null() ? std::string() : text.get<std::string>());
  const bool reply = message.contains("parent_id") && !message.at("parent_id").is_null();
  if (is_true(message, "deleted") || is_false(message, "review_result")) out.removed = prompt_removal::deleted;
  if (reply || (message.contains("role") && message.at("role") != "prompter"))
    out.removed = prompt_removal::not_first_turn;
}

// {instruction, input? or context?}: Dolly's and coho's own form. Of a record with a history, the first question.
void read_own_record(source_prompt& out, const json& value, const jsonl_reader& at, const record_fields& fields) {
  const bool blank = is_blank(fields.optional_text("instruction")) && is_blank(fields.optional_text("input")) &&
                     is_blank(fields.optional_text("context"));
  if (blank)
    out.removed = prompt_removal::empty;
  else
    from_json(value, at, out.prompt);
  auto& prompt = out.prompt;
  if (!std::exchange(prompt.system, {}).empty()) count_dropped_system(fields);
  if (prompt.history.empty()) return;
  count_dropped_turns(fields);
  prompt.instruction = std::move(prompt.history.front().text);
  prompt.input.clear();
  prompt.history.clear();
}

// The first question is in the "history" if there is one.
void read_first_of_history(source_prompt& out, const record_fields& fields) {
  auto history = read_history(fields);
  if (history.empty()) return;
  if (is_list_of_messages(fields, "history") && !read_conversation(fields["history"], fields, "history").system.empty())
    count_dropped_system(fields);
  count_dropped_turns(fields);
  set_instruction(out, std::move(history.front().text));
}

}  // namespace

source_prompt read_source_prompt(const json& value, const jsonl_reader& at) {
  const record_fields fields(value, at);
  source_prompt out;
  if (value.is_string()) {
    set_instruction(out, value.get<std::string>());
  } else if (fields.has_value("conversations") || fields.has_value("messages")) {
    const std::string name = fields.has_value("conversations") ? "conversations" : "messages";
    read_first_turn(out, fields[name], fields, name);
    out.from_page = name == "conversations";
    if (out.from_page && is_later_tree_message(fields)) out.removed = prompt_removal::not_first_turn;
  } else if (fields.has("instruction")) {
    read_own_record(out, value, at, fields);
  } else if (fields.has_all("problem", "solution")) {
    set_instruction(out, fields, "problem");
    out.prompt.type = prompt_type::reasoning;
  } else if (is_tree_message(fields)) {
    read_tree_message(out, value, fields);
  } else if (fields.has("question")) {
    set_instruction(out, first_question(fields, fields.optional_text("question")));
    if (is_reasoning_question(fields) || id_prefix(fields) == "cot") out.prompt.type = prompt_type::reasoning;
  } else if (fields.has("prompt")) {
    const auto& prompt = fields["prompt"];
    if (prompt.is_object() && prompt.contains("text"))
      read_tree_message(out, prompt, fields);
    else if (prompt.is_array() || prompt.is_object())
      read_first_turn(out, prompt.is_array() ? prompt : json::array({prompt}), fields, "prompt");
    else
      set_instruction(out, first_question(fields, fields.optional_text("prompt")));
  } else if (fields.has("turns")) {
    const auto& turns = fields["turns"];
    if (!turns.is_array() || (!turns.empty() && !turns[0].is_string())) fields.fail_type("turns", "a list of texts");
    set_instruction(out, turns.empty() ? std::string() : turns[0].get<std::string>());
    if (turns.size() > 1) count_dropped_turns(fields);
  } else if (fields.has_all("chosen", "rejected")) {
    if (fields["chosen"].is_array())
      read_first_turn(out, fields["chosen"], fields, "chosen");
    else
      set_instruction(out, first_question(fields, fields.text("chosen")));
  } else if (fields.has_all("history", "human_ref_A", "human_ref_B")) {
    set_instruction(out, fields, "history");
  } else if (fields.has_all("Question", "Answer1", "Answer2")) {
    set_instruction(out, first_question(fields, fields.optional_text("Question")));
  } else {
    fields.fail_unknown_form(
        "prompt",
        "{conversations: [{from, value}]} (ShareGPT), {instruction, context, response} (Dolly), {prompt: "
        "{text}} and {message_id, parent_id, role, text} (OpenAssistant), {system_prompt, question, "
        "response} (OpenOrca), {problem, solution} (MATH), {question, answer} (GSM8K), {instruction, "
        "input?}, {prompt}, {messages}, {turns}, {chosen, rejected} and plain strings");
  }
  for (const auto* name : {"system", "system_prompt"})
    if (!fields.has("instruction") && fields.has(name) && fields[name].is_string() && !is_blank(fields.text(name)))
      count_dropped_system(fields);
  if ((fields.has("question") || fields.has("prompt")) && !fields.has("instruction"))
    read_first_of_history(out, fields);
  out.prompt.output.clear();
  if (value.is_object()) {
    out.category = fields.text_or_empty("category");
    out.part = id_prefix(fields);
  }
  return out;
}

}  // namespace coho::trainer
