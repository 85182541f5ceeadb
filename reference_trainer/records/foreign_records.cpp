#include "records/foreign_records.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/reward/empty_response.hpp>

#include "jsonl/dropped_parts.hpp"
#include "jsonl/python_literal.hpp"
#include "records/conversation.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {

namespace {

// A text as turns: those of a transcript, or one question.
std::vector<chat_message> parse_turns(std::string_view text) {
  if (is_transcript(text)) return read_transcript(text);
  return {{chat_role::user, std::string(text)}};
}

// A field with a conversation: text, a transcript, messages, or the root of a conversation tree.
conversation read_conversation_field(const record_fields& fields, std::string_view name) {
  const auto& value = fields[name];
  if (value.is_null()) fields.fail_type(name, "text or messages");
  if (value.is_array()) return read_conversation(value, fields, name);
  if (value.is_object() && value.contains("text") && value.at("text").is_string())
    return {.turns = {{chat_role::user, value.at("text").get<std::string>()}}};
  if (value.is_object() && (value.contains("role") || value.contains("from")))
    return read_conversation(json::array({value}), fields, name);
  return {.turns = parse_turns(fields.text(name))};
}

// Present and not an empty list, which tables have for records without a conversation.
bool has_messages(const record_fields& fields, std::string_view name) {
  return fields.has_value(name) && fields[name] != json::array();
}

// The one of the two that `has_conversation` found.
std::string_view conversation_field(const record_fields& fields) {
  return has_messages(fields, "conversations") ? "conversations" : "messages";
}

// Counts the columns of a record that its conversation does not use.
void count_unused_columns(const record_fields& fields, const conversation& talk) {
  for (const auto* name : {"instruction", "prompt", "question"}) {
    if (!fields.has_value(name) || fields[name] == "") continue;
    const auto text = fields[name].is_string() ? fields.text(name) : std::string();
    const bool within = !text.empty() && std::ranges::any_of(talk.turns, [&](const chat_message& turn) {
      return turn.text.find(trim_white_space(text)) != std::string::npos;
    });
    if (!within)
      dropped_parts::of_run().add("a \"" + std::string(name) + "\" that its \"" +
                                      std::string(conversation_field(fields)) +
                                      "\" does not have, and which is not used",
                                  fields.at());
  }
}

// The reply to a prompt: text, one message, or messages, the assistant's first.
std::vector<chat_message> read_replies(const record_fields& fields, std::string_view name) {
  const auto& value = fields[name];
  if (value.is_string()) return {{chat_role::assistant, value.get<std::string>()}};
  auto out = read_conversation(value.is_object() ? json::array({value}) : value, fields, name, true).turns;
  if (out.back().role != chat_role::assistant)
    fields.fail("the last message of \"" + std::string(name) + "\" is not the assistant's");
  return out;
}

// Adds the response column to a conversation that ends with a question.
void add_response(conversation& talk, const record_fields& fields) {
  for (const auto* name : {"response", "completion", "output", "answer"}) {
    if (!fields.has(name) || fields[name].is_null() || fields[name] == "") continue;
    if (talk.asks()) {
      for (auto& reply : read_replies(fields, name)) talk.turns.push_back(std::move(reply));
      return;
    }
    if (fields.has("problem") || fields[name] == talk.turns.back().text) return;
    fields.fail("the conversation ends with an answer, but field \"" + std::string(name) + "\" is another",
                "remove one of them");
  }
}

// The last turn is the question.
void set_prompt(conversation talk, const record_fields& fields, prompt_record& record) {
  if (is_blank(talk.turns.back().text)) fields.fail("the prompt is empty");
  for (std::size_t i = 0; i < talk.turns.size(); ++i)
    if (is_blank(talk.turns[i].text)) fields.fail("turn " + std::to_string(i + 1) + " of the conversation is empty");
  record.instruction = std::move(talk.turns.back().text);
  talk.turns.pop_back();
  record.system = std::move(talk.system);
  record.history = std::move(talk.turns);
}

// Stanford Human Preferences: {history, human_ref_A, human_ref_B, labels}.
void read_shp(const record_fields& fields, preference_record& record) {
  const double label = fields.number("labels");
  if (label != 0 && label != 1) fields.fail_type("labels", "1 (A preferred) or 0 (B preferred)");
  record.prompt.instruction = fields.text("history");
  record.response_1 = fields.text("human_ref_A");
  record.response_2 = fields.text("human_ref_B");
  record.preferred = label == 1 ? 1 : 2;
}

// {Question, Answer1, Answer2, Preference}, where the texts may begin with "Human:" and "Assistant:".
void read_question_answers(const record_fields& fields, preference_record& record) {
  const auto strip = [](std::string text, std::string_view opening) {
    const auto trimmed = trim_white_space(text);
    return std::string(trimmed.starts_with(opening) ? trim_white_space(trimmed.substr(opening.size()))
                                                    : std::string_view(text));
  };
  const auto question = fields.text("Question");
  conversation talk{.turns = is_transcript(question) ? read_transcript(question)
                                                     : parse_turns(strip(question, human_heading))};
  if (!talk.asks()) fields.fail("\"Question\" does not end with a question");
  set_prompt(std::move(talk), fields, record.prompt);
  record.response_1 = strip(fields.text("Answer1"), assistant_heading);
  record.response_2 = strip(fields.text("Answer2"), assistant_heading);
  const auto preferred = fields.text("Preference");
  if (preferred != "Answer1" && preferred != "Answer2") fields.fail_type("Preference", "\"Answer1\" or \"Answer2\"");
  record.preferred = preferred == "Answer1" ? 1 : 2;
}

// Whether a list of messages is a whole conversation, rather than only the answer.
bool begins_with_question(const json& list) {
  if (!list.is_array() || list.empty() || !list[0].is_object()) return false;
  for (const auto* role : {"role", "from"})
    if (list[0].contains(role))
      return list[0].at(role) == "user" || list[0].at(role) == "human" || list[0].at(role) == "system";
  return false;
}

// Apart from white space at the ends, which copies of a conversation often differ in.
bool is_same_message(const chat_message& a, const chat_message& b) {
  return a.role == b.role && trim_white_space(a.text) == trim_white_space(b.text);
}

// One side of a preference as a whole conversation. `prompt` is empty if the record has no field for it. `whole`: set
// to whether the side had the questions too, rather than only the answer to `prompt`.
conversation read_side(const record_fields& fields, std::string_view name, const conversation& prompt, bool& whole) {
  const auto& value = fields[name];
  whole = begins_with_question(value);
  if (whole) {
    auto out = read_conversation(value, fields, name);
    if (out.turns.back().role != chat_role::assistant)
      fields.fail("the last message of \"" + std::string(name) + "\" is not the assistant's");
    return out;
  }
  if (!prompt.turns.empty() && value.is_string() && is_transcript(fields.text(name))) {
    conversation out{.turns = read_transcript(fields.text(name))};
    whole = out.turns.size() > prompt.turns.size() && !out.asks() &&
            std::ranges::equal(prompt.turns, std::span(out.turns).first(prompt.turns.size()), is_same_message);
    if (whole) return out;
  }
  if (prompt.turns.empty()) {
    whole = true;
    if (!value.is_string() || !is_transcript(fields.text(name)))
      fields.fail("\"chosen\" and \"rejected\" have no common beginning that ends with \"Assistant:\"",
                  "give the prompt in a field \"prompt\"");
    conversation out{.turns = read_transcript(fields.text(name))};
    if (out.asks() && trim_white_space(fields.text(name)).ends_with(assistant_heading))
      out.turns.push_back({chat_role::assistant, ""});
    return out;
  }
  conversation out = prompt;
  for (auto& reply : read_replies(fields, name)) out.turns.push_back(std::move(reply));
  return out;
}

// A prompt given next to whole conversations must be in both sides.
void check_same_prompt(const record_fields& fields, const conversation& prompt, const conversation& side) {
  if (prompt.turns.empty()) return;
  const bool inside = std::ranges::any_of(side.turns, [&](const chat_message& turn) {
    return turn.role == chat_role::user && trim_white_space(turn.text) == trim_white_space(prompt.turns.back().text);
  });
  if (!inside)
    fields.fail("the prompt is not a question of the conversations in \"chosen\" and \"rejected\"",
                "remove the prompt, or give only the answers");
}

// Splits the two conversations after their last common question: the rest is compared, as a text.
void split_at_first_difference(const record_fields& fields, conversation chosen, conversation rejected,
                               preference_record& record) {
  if (chosen.system != rejected.system) fields.fail("\"chosen\" and \"rejected\" have different system texts");
  auto& a = chosen.turns;
  auto& b = rejected.turns;
  auto parting = static_cast<std::size_t>(std::ranges::mismatch(a, b, is_same_message).in1 - a.begin());
  while (parting > 0 && (parting >= a.size() || parting >= b.size() || a[parting].role != chat_role::assistant ||
                         b[parting].role != chat_role::assistant))
    --parting;
  if (parting == 0)
    fields.fail("\"chosen\" and \"rejected\" must share their first messages and differ from an answer on");
  record.response_1 = continuation_text(std::span(a).subspan(parting));
  record.response_2 = continuation_text(std::span(b).subspan(parting));
  a.resize(parting);
  set_prompt(std::move(chosen), fields, record.prompt);
}

// The answer is not part of the question: an answer at the end of the conversation is removed if it is the chosen one.
void remove_chosen_answer(const record_fields& fields, std::string_view name, conversation& talk) {
  if (talk.asks()) return;
  const auto& value = fields["chosen"];
  const auto chosen = begins_with_question(value) ? read_conversation(value, fields, "chosen").turns.back()
                                                  : read_replies(fields, "chosen").front();
  if (trim_white_space(chosen.text) != trim_white_space(talk.turns.back().text) || talk.turns.size() < 2)
    fields.fail("field \"" + std::string(name) + "\" ends with an assistant's message that is not \"chosen\"",
                "end it with the question; the answers are \"chosen\" and \"rejected\"");
  talk.turns.pop_back();
}

// A list, or a text with the Python literal of one; nothing if the field is absent. `size`: how many items it must
// have, 0: any number.
std::optional<json> read_tuple(const record_fields& fields, std::string_view name, std::size_t size) {
  if (!fields.has(name)) return std::nullopt;
  const auto& value = fields[name];
  auto list = value.is_string() ? parse_python_literal(value.get<std::string>()) : std::optional(value);
  if (!list || !list->is_array() || (size != 0 && list->size() != size)) {
    fields.fail("field \"" + std::string(name) + "\" must be a tuple or list" +
                (size != 0 ? " of " + std::to_string(size) + " items" : ""));
  }
  return list;
}

// By number or by name.
prompt_type parse_prompt_type(const json& value, const record_fields& fields) {
  for (const auto type : prompt_types)
    if (value == static_cast<int>(type) || value == name_of(type)) return type;
  fields.fail_type("question_type", "0 (general), 1 (reasoning) or 2 (red-teaming)");
}

}  // namespace

void read_prompt_details(const record_fields& fields, prompt_record& record) {
  if (const auto factor = fields.optional_number("length_bonus")) record.length_bonus = factor;
  if (fields.has("question_type") && !fields["question_type"].is_null())
    record.type = parse_prompt_type(fields["question_type"], fields);
  record.source = fields.text_or_empty("source");
  record.language = fields.text_or_empty("language");
}

bool read_foreign_exchange(const json& value, const record_fields& fields, sft_record& record) {
  conversation talk;
  if (value.is_string()) {
    talk.turns = parse_turns(value.get<std::string>());
  } else if (has_conversation(fields)) {
    const auto name = conversation_field(fields);
    talk = read_conversation(fields[name], fields, name);
    count_unused_columns(fields, talk);
  } else if (fields.has_value("question")) {
    talk = read_conversation_field(fields, "question");
    if (is_reasoning_question(fields)) record.prompt.type = prompt_type::reasoning;
  } else if (fields.has_value("problem") && fields.has_value("solution")) {
    talk.turns = {{chat_role::user, fields.text("problem")}};
    talk.turns.push_back({chat_role::assistant, fields.text("solution")});
    record.prompt.type = prompt_type::reasoning;
  } else if (fields.has_value("prompt")) {
    talk = read_conversation_field(fields, "prompt");
  } else if (fields.has_value("turns")) {
    const auto& turns = fields["turns"];
    if (!turns.is_array() || turns.empty() || !turns[0].is_string()) fields.fail_type("turns", "a list of texts");
    talk.turns = {{chat_role::user, turns[0].get<std::string>()}};
    if (turns.size() > 1)
      dropped_parts::of_run().add("further questions in \"turns\", which are not used", fields.at());
  } else if (fields.has("conversations") || fields.has("messages")) {
    const auto* name = fields.has("conversations") ? "conversations" : "messages";
    talk = read_conversation(fields[name], fields, name);  // reports the error
  } else {
    return false;
  }
  if (fields.has_value("tools") && !fields["tools"].empty() && fields["tools"] != "")
    dropped_parts::of_run().add("a list of \"tools\", which is not used", fields.at());
  merge_columns(talk, fields);
  add_response(talk, fields);
  if (!talk.asks()) {
    record.response = std::move(talk.turns.back().text);
    record.weight = talk.turns.back().weight;
    talk.turns.pop_back();
  }
  set_prompt(std::move(talk), fields, record.prompt);
  record.prompt.output = record.response;
  read_prompt_details(fields, record.prompt);
  return true;
}

bool has_conversation(const record_fields& fields) {
  return has_messages(fields, "conversations") || has_messages(fields, "messages");
}

bool is_reasoning_question(const record_fields& fields) {
  return !fields.has("system_prompt") && !fields.has("system") && !fields.has("chosen");
}

bool is_tree_message(const record_fields& fields) { return fields.has_all("message_id", "role", "text"); }

bool is_first_message(const record_fields& fields) {
  const bool reply = fields.has("parent_id") && !fields["parent_id"].is_null();
  return !reply && fields["role"] == "prompter" && !(fields.has("deleted") && fields["deleted"] == true);
}

bool read_foreign_preference(const record_fields& fields, preference_record& record) {
  if (fields.has_all("history", "human_ref_A", "human_ref_B", "labels")) {
    read_shp(fields, record);
    return !fields.has_value("score_ratio") || fields.number("score_ratio") > 2;
  }
  if (fields.has_all("Question", "Answer1", "Answer2", "Preference")) {
    read_question_answers(fields, record);
    return true;
  }
  if (!fields.has_all("chosen", "rejected")) {
    fields.fail_unknown_form(
        "preference",
        "{instruction, input?, output_1, output_2, preference}, {chosen, rejected} dialogues, {prompt, "
        "chosen, rejected}, "
        "{conversations, chosen, rejected}, {history, human_ref_A, human_ref_B, labels}, {Question, "
        "Answer1, Answer2, Preference}");
  }
  record.preferred = 1;
  conversation prompt;
  for (const auto* name : {"conversations", "prompt", "instruction", "question", "messages"}) {
    if (!fields.has(name) || fields[name].is_null()) continue;
    prompt = read_conversation_field(fields, name);
    if (name == std::string_view("instruction")) {
      const auto input = fields.optional_text("input");
      if (!input.empty()) prompt.turns.back().text += "\n\n" + input;
    }
    remove_chosen_answer(fields, name, prompt);
    if (is_blank(prompt.turns.back().text)) fields.fail("the prompt is empty");
    merge_columns(prompt, fields);
    break;
  }
  bool whole_chosen = false, whole_rejected = false;
  auto chosen = read_side(fields, "chosen", prompt, whole_chosen),
       rejected = read_side(fields, "rejected", prompt, whole_rejected);
  if (whole_chosen) check_same_prompt(fields, prompt, chosen);
  if (whole_rejected) check_same_prompt(fields, prompt, rejected);
  if (prompt.turns.empty() && !read_history(fields).empty())
    fields.fail("\"chosen\" and \"rejected\" are whole conversations, but the record also has a \"history\"",
                "merge the two");
  const auto system = prompt.turns.empty() ? read_system(fields) : prompt.system;
  for (auto* side : {&chosen, &rejected}) {
    if (side->system.empty()) side->system = system;
    if (!system.empty() && side->system != system)
      fields.fail("a conversation in \"chosen\" or \"rejected\" has a different system text than the record",
                  "remove one of them");
  }
  split_at_first_difference(fields, std::move(chosen), std::move(rejected), record);
  return true;
}

void read_released_principles(const record_fields& fields, preference_record& record) {
  const auto names = read_tuple(fields, "dimensions", 0);
  const auto negated = read_tuple(fields, "negative_definitions", names->size());
  const auto scores = read_tuple(fields, "dimension_scores", names->size());
  record.principles.clear();
  for (std::size_t i = 0; i < names->size(); ++i) {
    if (!(*names)[i].is_string()) fields.fail("field \"dimensions\" must contain names");
    chosen_principle entry{(*names)[i].get<std::string>()};
    if (negated) {
      const auto& flag = (*negated)[i];
      if (!flag.is_boolean() && !flag.is_number())
        fields.fail("field \"negative_definitions\" must contain 0 or 1, or True or False");
      entry.negated = flag.is_boolean() ? flag.get<bool>() : flag.get<double>() != 0;
    }
    if (scores) {
      if (!(*scores)[i].is_number() || !std::isfinite((*scores)[i].get<double>()))
        fields.fail("field \"dimension_scores\" must contain finite numbers");
      entry.score = (*scores)[i].get<double>();
    }
    record.principles.push_back(std::move(entry));
  }
  if (!scores || record.principles.empty()) return;
  const auto strongest =
      std::ranges::max_element(record.principles, {}, [](const chosen_principle& p) { return std::abs(p.score); });
  record.dominant = static_cast<std::size_t>(strongest - record.principles.begin());
  record.label_margin = std::abs(strongest->score);
}

}  // namespace coho::trainer
