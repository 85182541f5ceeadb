#include "records/records.hpp"

// The project's own record forms, written and read. Other projects' forms are in foreign_records.cpp.

#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "jsonl/bad_records.hpp"
#include "jsonl/dropped_parts.hpp"
#include "jsonl/record_fields.hpp"
#include "records/conversation.hpp"
#include "records/empty_texts.hpp"
#include "records/foreign_records.hpp"

namespace coho::trainer {

namespace {

// Fields with their default value are left out, except "instruction" and "input". The history is written as pairs of
// question and answer, with weights if any is not 1.
void write_prompt_fields(json& out, const prompt_record& record) {
  out["instruction"] = record.instruction;
  out["input"] = record.input;
  if (!record.output.empty()) out["output"] = record.output;
  if (record.length_bonus) out["length_bonus"] = *record.length_bonus;
  if (record.type != prompt_type::general) out["question_type"] = static_cast<int>(record.type);
  if (!record.source.empty()) out["source"] = record.source;
  if (!record.language.empty()) out["language"] = record.language;
  if (!record.system.empty()) out["system"] = record.system;
  if (record.history.empty()) return;
  json pairs = json::array(), weights = json::array();
  bool weighted = false;
  for (std::size_t i = 0; i + 1 < record.history.size(); i += 2) {
    pairs.push_back({record.history[i].text, record.history[i + 1].text});
    weights.push_back(record.history[i + 1].weight);
    weighted = weighted || record.history[i + 1].weight != 1;
  }
  out["history"] = std::move(pairs);
  if (weighted) out["history_weights"] = std::move(weights);
}

// The history and the last question as one conversation.
conversation prompt_conversation(const prompt_record& record) {
  conversation out{.system = record.system, .turns = record.history};
  out.turns.push_back({chat_role::user, record.question()});
  return out;
}

// A prompt in coho's own form: "instruction", and the optional fields next to it.
prompt_record read_own_prompt(const record_fields& fields) {
  prompt_record record;
  record.instruction = fields.text("instruction");
  record.input = fields.optional_text(fields.has("input") ? "input" : "context");
  record.output = fields.optional_text("output");
  read_prompt_details(fields, record);
  record.system = read_system(fields);
  record.history = read_history(fields);
  if (record.question().find_first_not_of(" \t\r\n") == std::string::npos) fields.fail("the prompt is empty");
  return record;
}

// A conversation takes precedence over an "instruction" next to it.
bool is_own_prompt(const record_fields& fields) { return fields.has_value("instruction") && !has_conversation(fields); }

// A prompt and a response if there is one, of our forms or others'.
void read_exchange(const json& value, const record_fields& fields, sft_record& record) {
  if (is_own_prompt(fields)) {
    record.prompt = read_own_prompt(fields);
    record.response = std::exchange(record.prompt.output, {});
    for (const auto* name : {"response", "completion"}) {
      if (fields.has_value(name)) record.response = fields.text(name);
    }
  } else if (!read_foreign_exchange(value, fields, record)) {
    fields.fail_unknown_form("supervised",
                             "{instruction, input?, output}, {prompt, response or completion}, {question, answer}, "
                             "{conversations} and {messages}");
  }
  if (fields.has("weight") && fields["weight"].is_number()) {
    const double weight = fields.number("weight");
    if (!(weight >= 0)) fields.fail("field \"weight\" is negative");
    if (!has_conversation(fields)) {
      record.weight = weight;
    } else if (weight != 1) {
      dropped_parts::of_run().add("a \"weight\" next to its messages, which is not used: replies have their own",
                                  fields.at());
    }
  }
  if (fields.has_value("finished")) record.finished = fields.boolean("finished");
  record.prompt.output.clear();
}

// The field "responses".
std::vector<std::string> read_responses(const record_fields& fields) {
  const auto& list = fields["responses"];
  if (!list.is_array()) fields.fail_type("responses", "a list of texts");
  std::vector<std::string> out;
  for (const auto& item : list) {
    if (!item.is_string()) fields.fail_type("responses", "a list of texts");
    out.push_back(item.get<std::string>());
  }
  return out;
}

// A pair in one of coho's two forms; false if the record has neither.
bool read_own_pair(const record_fields& fields, pair_record& record) {
  if (fields.has_all("instruction", "output_1", "output_2")) {
    record.response_1 = fields.text("output_1");
    record.response_2 = fields.text("output_2");
  } else if (fields.has_all("instruction", "responses")) {
    auto responses = read_responses(fields);
    if (responses.size() != 2)
      fields.fail("field \"responses\" holds " + std::to_string(responses.size()) + " responses, but a pair needs 2");
    record.response_1 = std::move(responses[0]);
    record.response_2 = std::move(responses[1]);
  } else {
    return false;
  }
  record.prompt = read_own_prompt(fields);
  return true;
}

// {instruction, output_1, output_2, preference}, with the principles that `aggregate` writes.
void read_own_preference(const json& value, const jsonl_reader& at, preference_record& record) {
  const record_fields fields(value, at);
  record.prompt = read_own_prompt(fields);
  record.response_1 = fields.text("output_1");
  record.response_2 = fields.text("output_2");
  const double preferred = fields.number("preference");
  if (preferred != 1 && preferred != 2) fields.fail_type("preference", "1 or 2");
  record.preferred = static_cast<int>(preferred);
  if (!fields.has_value("principles")) return;
  if (!fields["principles"].is_array()) fields.fail_type("principles", "a list of {name, negated, text, score}");
  for (const auto& item : fields["principles"]) {
    const record_fields entry(item, at);
    if (!entry.is_object()) fields.fail_type("principles", "a list of {name, negated, text, score}");
    record.principles.push_back({entry.text("name"), entry.has_value("negated") && entry.boolean("negated"),
                                 entry.optional_text("text"), entry.optional_number("score").value_or(0)});
  }
  if (const auto dominant = fields.optional_number("dominant")) {
    if (!(*dominant >= 0) || *dominant >= static_cast<double>(record.principles.size()) ||
        std::trunc(*dominant) != *dominant) {
      fields.fail_type("dominant", "the index of one of the principles");
    }
    record.dominant = static_cast<std::size_t>(*dominant);
  }
  record.label_margin = fields.optional_number("margin").value_or(0);
}

}  // namespace

std::string prompt_record::text() const { return dialogue_text(prompt_conversation(*this)); }

std::vector<chat_message> prompt_record::messages() const {
  auto talk = prompt_conversation(*this);
  if (!talk.system.empty()) talk.turns.insert(talk.turns.begin(), {chat_role::system, talk.system});
  return talk.turns;
}

std::vector<chat_message> sft_record::messages() const {
  auto out = prompt.messages();
  out.push_back({.role = chat_role::assistant, .text = response, .weight = weight, .finished = finished});
  return out;
}

json to_json(const prompt_record& record) {
  json out;
  write_prompt_fields(out, record);
  return out;
}

json to_json(const sft_record& record) {
  json out;
  write_prompt_fields(out, record.prompt);
  out["output"] = record.response;
  if (record.weight != 1) out["weight"] = record.weight;
  if (!record.finished) out["finished"] = false;
  return out;
}

json to_json(const sample_record& record) {
  json out;
  write_prompt_fields(out, record.prompt);
  out["responses"] = record.responses;
  out["finished"] = record.finished;
  return out;
}

json to_json(const pair_record& record) {
  json out;
  write_prompt_fields(out, record.prompt);
  out["output_1"] = record.response_1;
  out["output_2"] = record.response_2;
  return out;
}

json to_json(const judgement_record& record) {
  auto out = to_json(record.pair);
  auto& scores = out["scores"] = json::object();
  for (const auto& score : record.scores) scores[score.principle] = {score.in_order, score.swapped};
  return out;
}

json to_json(const preference_record& record) {
  json out;
  write_prompt_fields(out, record.prompt);
  out["output_1"] = record.response_1;
  out["output_2"] = record.response_2;
  out["preference"] = record.preferred;
  if (record.principles.empty()) {
    if (record.label_margin != 0) out["margin"] = record.label_margin;
    return out;
  }
  auto& principles = out["principles"] = json::array();
  for (const auto& chosen : record.principles) {
    json entry{{"name", chosen.name}, {"negated", chosen.negated}};
    if (!chosen.text.empty()) entry["text"] = chosen.text;
    entry["score"] = chosen.score;
    principles.push_back(std::move(entry));
  }
  if (record.dominant) out["dominant"] = *record.dominant;
  out["margin"] = record.label_margin;
  return out;
}

// A reply of a conversation tree is left out; a response of another form is dropped.
bool from_json(const json& value, const jsonl_reader& at, prompt_record& record) {
  const record_fields fields(value, at);
  if (is_own_prompt(fields)) {
    record = read_own_prompt(fields);
    return true;
  }
  if (is_tree_message(fields)) {
    record.instruction = fields.text("text");
    return is_first_message(fields);
  }
  sft_record with_response;
  if (!read_foreign_exchange(value, fields, with_response)) {
    fields.fail_unknown_form(
        "prompt",
        "{instruction, input?}, {prompt}, {question, answer?}, {problem, solution}, {conversations}, "
        "{messages}, {turns}, "
        "{message_id, parent_id, role, text} and plain strings");
  }
  record = std::move(with_response.prompt);
  return true;
}

// A conversation that ends with a question is trained on up to the reply before it.
bool from_json(const json& value, const jsonl_reader& at, sft_record& record) {
  const record_fields fields(value, at);
  read_exchange(value, fields, record);
  auto& prompt = record.prompt;
  if (record.response.empty() && !prompt.history.empty()) {
    dropped_parts::of_run().add("an unanswered question at the end, which is not trained on", at);
    auto& reply = prompt.history.back();
    record.response = std::move(reply.text);
    record.weight = reply.weight;
    prompt.history.pop_back();
    prompt.instruction = std::move(prompt.history.back().text);
    prompt.input.clear();
    prompt.history.pop_back();
  }
  if (record.response.find_first_not_of(" \t\r\n") == std::string::npos)
    fields.fail("there is no response to train on", "give it as \"output\" or \"response\"");
  return true;
}

// A pair counts as two finished responses.
bool from_json(const json& value, const jsonl_reader& at, sample_record& record) {
  const record_fields fields(value, at);
  if (fields.has_all("instruction", "output_1", "output_2")) {
    record.prompt = read_own_prompt(fields);
    record.responses = {fields.text("output_1"), fields.text("output_2")};
    record.finished = {true, true};
    return true;
  }
  if (!fields.has_all("instruction", "responses"))
    fields.fail_unknown_form(
        "sample", "{instruction, input?, responses, finished?} and {instruction, input?, output_1, output_2}");
  record.prompt = read_own_prompt(fields);
  record.responses = read_responses(fields);
  record.finished.assign(record.responses.size(), true);
  if (!fields.has_value("finished")) return true;
  const auto& list = fields["finished"];
  if (!list.is_array() || list.size() != record.responses.size())
    fields.fail_type("finished", "a list with true or false for each response");
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_boolean()) fields.fail_type("finished", "a list with true or false for each response");
    record.finished[i] = list[i].get<bool>();
  }
  return true;
}

bool from_json(const json& value, const jsonl_reader& at, pair_record& record) {
  const record_fields fields(value, at);
  if (!read_own_pair(fields, record)) {
    fields.fail_unknown_form(
        "pair", "{instruction, input?, output_1, output_2} and {instruction, input?, responses} with two responses");
  }
  return true;
}

// Scores of each principle: in order, then swapped.
bool from_json(const json& value, const jsonl_reader& at, judgement_record& record) {
  const record_fields fields(value, at);
  if (!fields.has("scores") || !read_own_pair(fields, record.pair)) {
    fields.fail_unknown_form("judgement", "{instruction, input?, output_1, output_2, scores}");
  }
  if (!fields["scores"].is_object())
    fields.fail_type("scores", "an object of principle: [score in order, score swapped]");
  for (const auto& [principle, two] : fields["scores"].items()) {
    if (!two.is_array() || two.size() != 2 || !two[0].is_number() || !two[1].is_number()) {
      fields.fail("the score of \"" + principle + "\" must be two numbers: in order, swapped");
    }
    record.scores.push_back({principle, two[0].get<double>(), two[1].get<double>()});
  }
  return true;
}

// The released SALMON form is our own with tuples of principles next to it.
bool from_json(const json& value, const jsonl_reader& at, preference_record& record) {
  const record_fields fields(value, at);
  const bool tuples = fields.has("dimensions");
  if (fields.has_all("instruction", "output_1", "output_2", "preference")) {
    read_own_preference(value, at, record);
    if (tuples) read_released_principles(fields, record);
  } else if (!read_foreign_preference(fields, record)) {
    return false;
  }
  // The margin of a human preference: a column of that name, as in other trainers.
  if (record.principles.empty()) record.label_margin = fields.optional_number("margin").value_or(0);
  return true;
}

template <class Record>
bool record_reader<Record>::next(Record& record) {
  const bool found = next_usable(reader_, [&](const json& value) {
    record = Record{};
    const bool used = from_json(value, reader_, record);
    if (used) refuse_empty_texts(record, reader_);
    if (used && check_) check_record(reader_, [&] { check_(record); });
    left_out_ += !used;
    return used;
  });
  if (found) return ++kept_, true;
  if (kept_ == 0)
    throw file_error(
        reader_.path().string(), "",
        left_out_ == 0 ? "has no records" : "has no record that is used (" + std::to_string(left_out_) + " left out)");
  return false;
}

template class record_reader<prompt_record>;
template class record_reader<sft_record>;
template class record_reader<sample_record>;
template class record_reader<pair_record>;
template class record_reader<judgement_record>;
template class record_reader<preference_record>;

}  // namespace coho::trainer
