#include "data/source_prompt.hpp"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "data/foreign_records.hpp"
#include "data/record_fields.hpp"
#include "text/clean_text.hpp"

namespace coho::trainer {
namespace {

bool is_blank(std::string_view text) { return trim_white_space(text).empty(); }

void take(source_prompt& out, std::string text) {
  if (is_blank(text)) out.removed = prompt_removal::empty;
  out.prompt.instruction = std::move(text);
}

// Text that a collection may leave null.
void take(source_prompt& out, const record_fields& fields, std::string_view name) {
  take(out, fields.optional_text(name));
}

// "\n\nHuman: first query\n\nAssistant: …" or the query alone.
std::string_view first_of_dialogue(std::string_view dialogue) {
  constexpr std::string_view human = "Human:";
  auto text = trim_white_space(dialogue);
  if (!text.starts_with(human)) return dialogue;
  text.remove_prefix(human.size());
  // Whatever the line ends are: with the answer in it a prompt would be none.
  const auto answer = text.find("\nAssistant:");
  if (answer == std::string_view::npos) return text;
  return text.substr(0, text.find_last_not_of("\r\n", answer) + 1);
}

enum class speaker { user, system, other };

speaker speaker_of(const json& message, const char* field) {
  const auto& role = message.at(field);
  if (role == "user" || role == "human" || role == "prompter") return speaker::user;
  return role == "system" ? speaker::system : speaker::other;
}

void take_first_turn(source_prompt& out, const json& list, const record_fields& fields, std::string_view name) {
  const auto where = "field \"" + std::string(name) + "\"";
  if (!list.is_array()) fields.wrong(name, "a list of messages");
  for (const auto& message : list) {
    const bool hub = message.is_object() && message.contains("role") && message.contains("content");
    const bool share = message.is_object() && message.contains("from") && message.contains("value");
    if (!hub && !share) fields.fail(where + " holds a message that is neither {role, content} nor {from, value}");
    const auto who = speaker_of(message, hub ? "role" : "from");
    if (who == speaker::system) continue;
    if (who == speaker::other) {
      out.removed = prompt_removal::not_first_turn;
      return;
    }
    const auto& text = message.at(hub ? "content" : "value");
    if (!text.is_string() && !text.is_null()) fields.fail(where + " holds a message whose text is no text");
    return take(out, text.is_null() ? std::string() : text.get<std::string>());
  }
  out.removed = prompt_removal::empty;
}

// "QWJhYvA_3": the fourth part of a conversation that was too long for somebody's context. ShareGPT's own ids have
// seven letters and digits; other names with a number behind them number conversations.
bool is_later_part(const record_fields& fields) {
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

std::string text_or_nothing(const record_fields& fields, std::string_view name) {
  return fields.has(name) && fields[name].is_string() ? fields.text(name) : std::string();
}

// OpenOrca's ids name the part of FLAN that a question is from: "cot.1234" one of its reasoning problems.
std::string part_of_id(const record_fields& fields) {
  const auto id = text_or_nothing(fields, "id");
  const auto point = id.find('.');
  return point == std::string::npos ? std::string() : id.substr(0, point);
}

bool is_false(const json& object, const char* name) { return object.contains(name) && object.at(name) == false; }
bool is_true(const json& object, const char* name) { return object.contains(name) && object.at(name) == true; }

// A message of OpenAssistant: the root of a tree, or one of the list of all messages.
void take_message(source_prompt& out, const json& message, const record_fields& fields) {
  const auto& text = message.at("text");
  if (!text.is_string() && !text.is_null()) fields.fail("field \"text\" holds no text");
  if (message.contains("lang") && message.at("lang").is_string())
    out.prompt.language = message.at("lang").get<std::string>();
  take(out, text.is_null() ? std::string() : text.get<std::string>());
  const bool reply = message.contains("parent_id") && !message.at("parent_id").is_null();
  if (is_true(message, "deleted") || is_false(message, "review_result")) out.removed = prompt_removal::deleted;
  if (reply || (message.contains("role") && message.at("role") != "prompter"))
    out.removed = prompt_removal::not_first_turn;
}

void take_own(source_prompt& out, const json& value, const jsonl_reader& at, const record_fields& fields) {
  const bool blank = is_blank(fields.optional_text("instruction")) && is_blank(fields.optional_text("input")) &&
                     is_blank(fields.optional_text("context"));
  if (blank)
    out.removed = prompt_removal::empty;
  else
    from_json(value, at, out.prompt);
}

}  // namespace

source_prompt read_source_prompt(const json& value, const jsonl_reader& at) {
  const record_fields fields(value, at);
  source_prompt out;
  if (value.is_string()) {
    take(out, value.get<std::string>());
  } else if (fields.has("conversations") || fields.has("messages")) {
    const std::string name = fields.has("conversations") ? "conversations" : "messages";
    take_first_turn(out, fields[name], fields, name);
    out.from_page = name == "conversations";
    if (out.from_page && is_later_part(fields)) out.removed = prompt_removal::not_first_turn;
  } else if (fields.has("instruction")) {
    take_own(out, value, at, fields);
  } else if (fields.has_all("problem", "solution")) {
    take(out, fields, "problem");
    out.prompt.kind = question_kind::reasoning;
  } else if (is_tree_message(fields)) {
    take_message(out, value, fields);
  } else if (fields.has("question")) {
    take(out, fields, "question");
    // A question with its answer alone is GSM8K's. OpenOrca's has a system text, a preference two answers.
    const bool other = fields.has("system_prompt") || fields.has("system") || fields.has_all("chosen", "rejected");
    if (!other || part_of_id(fields) == "cot") out.prompt.kind = question_kind::reasoning;
  } else if (fields.has("prompt")) {
    const auto& prompt = fields["prompt"];
    if (prompt.is_object() && prompt.contains("text"))
      take_message(out, prompt, fields);
    else if (prompt.is_array())
      take_first_turn(out, prompt, fields, "prompt");
    else
      take(out, std::string(first_of_dialogue(fields.optional_text("prompt"))));
  } else if (fields.has("turns")) {
    const auto& turns = fields["turns"];
    if (!turns.is_array() || (!turns.empty() && !turns[0].is_string())) fields.wrong("turns", "a list of texts");
    take(out, turns.empty() ? std::string() : turns[0].get<std::string>());
  } else if (fields.has_all("chosen", "rejected")) {
    if (fields["chosen"].is_array())
      take_first_turn(out, fields["chosen"], fields, "chosen");
    else
      take(out, std::string(first_of_dialogue(fields.text("chosen"))));
  } else if (fields.has_all("history", "human_ref_A", "human_ref_B")) {
    take(out, fields, "history");
  } else if (fields.has_all("Question", "Answer1", "Answer2")) {
    take(out, std::string(first_of_dialogue(fields.optional_text("Question"))));
  } else {
    fields.unknown_form(
        "prompt",
        "{conversations: [{from, value}]} (ShareGPT), {instruction, context, response} (Dolly), {prompt: "
        "{text}} and {message_id, parent_id, role, text} (OpenAssistant), {system_prompt, question, "
        "response} (OpenOrca), {problem, solution} (MATH), {question, answer} (GSM8K), {instruction, "
        "input?}, {prompt}, {messages}, {turns}, {chosen, rejected} and plain strings");
  }
  out.prompt.output.clear();
  if (value.is_object()) {
    out.category = text_or_nothing(fields, "category");
    out.part = part_of_id(fields);
  }
  return out;
}

}  // namespace coho::trainer
