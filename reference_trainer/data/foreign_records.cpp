#include "data/foreign_records.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/python_literal.hpp"

namespace coho::trainer {

namespace {

constexpr std::string_view human = "Human:";
constexpr std::string_view assistant = "Assistant:";

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// "\n\nHuman: question\n\nAssistant:" as an instruction: the bare question of a single turn, else the dialogue without
// the opening of the answer.
std::string instruction_of_dialogue(std::string_view prompt) {
  auto text = trim(prompt);
  if (text.ends_with(assistant)) text = trim(text.substr(0, text.size() - assistant.size()));
  const bool single =
      text.find("\n\nHuman:") == std::string_view::npos && text.find("\n\nAssistant:") == std::string_view::npos;
  if (single && text.starts_with(human)) text = trim(text.substr(human.size()));
  return std::string(text);
}

// A response given as text, as one message, or as messages of which the last is the answer.
std::string response_of(const record_fields& fields, std::string_view name) {
  const auto& value = fields[name];
  if (value.is_string()) return value.get<std::string>();
  const auto turns = read_turns(value.is_object() ? json::array({value}) : value, fields, name);
  if (turns.back().role != chat_turn::speaker::assistant)
    fields.fail("the last message of \"" + std::string(name) + "\" is not the assistant's");
  return turns.back().content;
}

// "prompt" is text, or messages; a conversation tree has the text of its root.
std::string prompt_of(const record_fields& fields, std::string_view name) {
  const auto& value = fields[name];
  if (value.is_array()) return prompt_text(read_turns(value, fields, name));
  if (value.is_object() && value.contains("text") && value.at("text").is_string())
    return value.at("text").get<std::string>();
  return fields.text(name);
}

// The first user turn and the assistant's answer to it.
void first_exchange(const record_fields& fields, std::string_view name, sft_record& record) {
  for (auto& turn : read_turns(fields[name], fields, name)) {
    if (turn.role == chat_turn::speaker::system && record.prompt.instruction.empty()) continue;
    if (turn.role == chat_turn::speaker::user && record.prompt.instruction.empty()) {
      record.prompt.instruction = std::move(turn.content);
    } else {
      if (turn.role == chat_turn::speaker::assistant) record.response = std::move(turn.content);
      break;
    }
  }
  if (record.prompt.instruction.empty()) fields.fail("the conversation does not begin with a user's message");
}

void read_shp(const record_fields& fields, preference_record& record) {
  const double label = fields.number("labels");
  if (label != 0 && label != 1) fields.wrong("labels", "1 (A preferred) or 0 (B preferred)");
  record.prompt.instruction = fields.text("history");
  record.response_1 = fields.text("human_ref_A");
  record.response_2 = fields.text("human_ref_B");
  record.preferred = label == 1 ? 1 : 2;
}

void read_answers(const record_fields& fields, preference_record& record) {
  const auto strip = [](std::string text, std::string_view opening) {
    const auto trimmed = trim(text);
    return std::string(trimmed.starts_with(opening) ? trim(trimmed.substr(opening.size())) : std::string_view(text));
  };
  record.prompt.instruction = strip(fields.text("Question"), human);
  record.response_1 = strip(fields.text("Answer1"), assistant);
  record.response_2 = strip(fields.text("Answer2"), assistant);
  const auto preferred = fields.text("Preference");
  if (preferred != "Answer1" && preferred != "Answer2") fields.wrong("Preference", "\"Answer1\" or \"Answer2\"");
  record.preferred = preferred == "Answer1" ? 1 : 2;
}

// {"chosen","rejected"} alone: two dialogues, as text or as messages, that share their beginning.
void read_implicit_prompt(const record_fields& fields, preference_record& record) {
  if (fields["chosen"].is_string()) {
    const auto split = split_dialogues(fields.text("chosen"), fields.text("rejected"));
    if (!split)
      fields.fail("\"chosen\" and \"rejected\" share no beginning that ends with \"Assistant:\"",
                  "give the prompt in a field \"prompt\"");
    record.prompt.instruction = instruction_of_dialogue(split->prompt);
    record.response_1 = std::string(trim(split->chosen));
    record.response_2 = std::string(trim(split->rejected));
    return;
  }
  auto chosen = read_turns(fields["chosen"], fields, "chosen");
  const auto rejected = read_turns(fields["rejected"], fields, "rejected");
  const auto parting = static_cast<std::size_t>(std::ranges::mismatch(chosen, rejected).in1 - chosen.begin());
  if (parting == 0 || parting >= chosen.size() || parting >= rejected.size()) {
    fields.fail("\"chosen\" and \"rejected\" must share their first messages and part at an answer");
  }
  record.response_1 = chosen.back().content;
  record.response_2 = rejected.back().content;
  chosen.resize(parting);
  record.prompt.instruction = prompt_text(chosen);
}

std::optional<json> tuple_field(const record_fields& fields, std::string_view name, std::size_t size) {
  if (!fields.has(name)) return std::nullopt;
  const auto& value = fields[name];
  auto list = value.is_string() ? parse_python_literal(value.get<std::string>()) : std::optional(value);
  if (!list || !list->is_array() || (size != 0 && list->size() != size)) {
    fields.fail("field \"" + std::string(name) + "\" must be a tuple or list" +
                (size != 0 ? " of " + std::to_string(size) + " items" : ""));
  }
  return list;
}

// Fields that others may use for something else count where they hold text.
std::string text_if_any(const record_fields& fields, std::string_view name) {
  return fields.has(name) && fields[name].is_string() ? fields.text(name) : std::string();
}

question_kind kind_of(const json& value, const record_fields& fields) {
  for (const auto kind : {question_kind::general, question_kind::reasoning, question_kind::red_teaming})
    if (value == static_cast<int>(kind) || value == name_of(kind)) return kind;
  fields.wrong("question_type", "0 (general), 1 (reasoning) or 2 (red-teaming)");
}

}  // namespace

std::optional<dialogue_pair> split_dialogues(std::string_view chosen, std::string_view rejected) {
  const auto common = static_cast<std::size_t>(std::ranges::mismatch(chosen, rejected).in1 - chosen.begin());
  const auto last = chosen.substr(0, common).rfind(assistant);
  if (last == std::string_view::npos) return std::nullopt;
  const auto end = last + assistant.size();
  return dialogue_pair{std::string(chosen.substr(0, end)), std::string(chosen.substr(end)),
                       std::string(rejected.substr(end))};
}

void read_prompt_details(const record_fields& fields, prompt_record& record) {
  if (const auto factor = fields.optional_number("length_bonus")) record.length_bonus = factor;
  if (fields.has("question_type") && !fields["question_type"].is_null())
    record.kind = kind_of(fields["question_type"], fields);
  record.source = text_if_any(fields, "source");
  record.language = text_if_any(fields, "language");
}

bool foreign_exchange(const json& value, const record_fields& fields, sft_record& record) {
  if (value.is_string()) {
    record.prompt.instruction = value.get<std::string>();
  } else if (fields.has("conversations") || fields.has("messages")) {
    first_exchange(fields, fields.has("conversations") ? "conversations" : "messages", record);
  } else if (fields.has("question")) {
    record.prompt.instruction = fields.text("question");
    if (!fields.has("system_prompt")) record.prompt.kind = question_kind::reasoning;
  } else if (fields.has_all("problem", "solution")) {
    record.prompt.instruction = fields.text("problem");
    record.response = fields.text("solution");
    record.prompt.kind = question_kind::reasoning;
  } else if (fields.has("prompt")) {
    if (fields["prompt"].is_null()) fields.wrong("prompt", "text or messages");
    record.prompt.instruction = prompt_of(fields, "prompt");
  } else if (fields.has("turns")) {
    const auto& turns = fields["turns"];
    if (!turns.is_array() || turns.empty() || !turns[0].is_string()) fields.wrong("turns", "a list of texts");
    record.prompt.instruction = turns[0].get<std::string>();
  } else {
    return false;
  }
  if (trim(record.prompt.instruction).empty()) fields.fail("the prompt is empty");
  for (const auto* name : {"response", "completion", "output", "answer"}) {
    if (record.response.empty() && fields.has(name)) record.response = response_of(fields, name);
  }
  record.prompt.output = record.response;
  read_prompt_details(fields, record.prompt);
  return true;
}

bool is_tree_message(const record_fields& fields) { return fields.has_all("message_id", "role", "text"); }

bool is_first_message(const record_fields& fields) {
  const bool reply = fields.has("parent_id") && !fields["parent_id"].is_null();
  return !reply && fields["role"] == "prompter" && !(fields.has("deleted") && fields["deleted"] == true);
}

bool foreign_preference(const record_fields& fields, preference_record& record) {
  if (fields.has_all("history", "human_ref_A", "human_ref_B", "labels")) {
    read_shp(fields, record);
    return !fields.has("score_ratio") || fields.number("score_ratio") > 2;
  }
  if (fields.has_all("Question", "Answer1", "Answer2", "Preference")) {
    read_answers(fields, record);
    return true;
  }
  if (!fields.has_all("chosen", "rejected")) {
    fields.unknown_form("preference",
                        "{instruction, input?, output_1, output_2, preference}, {chosen, rejected} dialogues, {prompt, "
                        "chosen, rejected}, "
                        "{conversations, chosen, rejected}, {history, human_ref_A, human_ref_B, labels}, {Question, "
                        "Answer1, Answer2, Preference}");
  }
  record.preferred = 1;
  for (const auto* name : {"conversations", "prompt", "instruction", "question", "messages"}) {
    if (!fields.has(name)) continue;
    auto text = prompt_of(fields, name);
    if (text.starts_with("\n\nHuman:")) text = instruction_of_dialogue(text);
    record.prompt.instruction = std::move(text);
    if (name == std::string_view("instruction")) record.prompt.input = fields.optional_text("input");
    record.response_1 = response_of(fields, "chosen");
    record.response_2 = response_of(fields, "rejected");
    return true;
  }
  read_implicit_prompt(fields, record);
  return true;
}

void read_released_principles(const record_fields& fields, preference_record& record) {
  const auto names = tuple_field(fields, "dimensions", 0);
  const auto negated = tuple_field(fields, "negative_definitions", names->size());
  const auto scores = tuple_field(fields, "dimension_scores", names->size());
  record.principles.clear();
  for (std::size_t i = 0; i < names->size(); ++i) {
    if (!(*names)[i].is_string()) fields.fail("field \"dimensions\" must hold names");
    chosen_principle entry{(*names)[i].get<std::string>()};
    if (negated) {
      const auto& flag = (*negated)[i];
      if (!flag.is_boolean() && !flag.is_number())
        fields.fail("field \"negative_definitions\" must hold 0 or 1, or True or False");
      entry.negated = flag.is_boolean() ? flag.get<bool>() : flag.get<double>() != 0;
    }
    if (scores) {
      if (!(*scores)[i].is_number() || !std::isfinite((*scores)[i].get<double>()))
        fields.fail("field \"dimension_scores\" must hold finite numbers");
      entry.score = (*scores)[i].get<double>();
    }
    record.principles.push_back(std::move(entry));
  }
  if (!scores || record.principles.empty()) return;
  const auto strongest =
      std::ranges::max_element(record.principles, {}, [](const chosen_principle& p) { return std::abs(p.score); });
  record.dominant = static_cast<std::size_t>(strongest - record.principles.begin());
  record.margin = std::abs(strongest->score);
}

}  // namespace coho::trainer
