#include "benchmarks/benchmark_records.hpp"

#include <array>
#include <utility>

#include <coho/error.hpp>
#include <coho/rng.hpp>

#include "jsonl/record_fields.hpp"

namespace coho::trainer {
namespace {

// The field "turns": as many non-empty texts as the benchmark has.
std::vector<std::string> read_user_turns(const record_fields& record, std::size_t expected) {
  const json& list = record["turns"];
  std::vector<std::string> out;
  if (!list.is_array()) record.fail_type("turns", "a list of texts");
  for (const auto& turn : list) {
    if (!turn.is_string() || turn.get<std::string>().empty())
      record.fail("field \"turns\" contains something other than non-empty texts");
    out.push_back(turn.get<std::string>());
  }
  if (out.size() != expected)
    record.fail("field \"turns\" has " + std::to_string(out.size()) + " turns, expected " + std::to_string(expected),
                "mt_bench has two turns per question, vicuna_bench one");
  return out;
}

// {question_id, category, turns}; the id is kept as it is written, number or text.
benchmark_question read_fastchat_question(answer_form form, const json& value, const record_fields& record) {
  if (!record.has_all("question_id", "turns"))
    record.fail_unknown_form("FastChat question", "{question_id, category, turns}");
  const json& id = value.at("question_id");
  if (!id.is_number_integer() && !id.is_string()) record.fail_type("question_id", "a whole number or text");
  return {.turns = read_user_turns(record, form == answer_form::mt_bench ? 2 : 1),
          .id = id.dump(-1, ' ', false, json::error_handler_t::replace),
          .category = record.optional_text("category")};
}

// Two 64-bit hashes: FastChat's ids are random UUIDs, of which only uniqueness matters.
std::string hash_answer(const benchmark_question& question, const std::vector<std::string>& turns,
                        const answer_identity& identity) {
  std::string text = identity.model_id + '\0' + question.id;
  for (const auto& turn : turns) text += '\0' + turn;
  std::string out;
  for (const std::uint64_t hash : {stream_key(text), stream_key("answer" + text)})
    for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[(hash >> shift) & 15];
  return out;
}

}  // namespace

std::optional<benchmark_question> read_benchmark_question(answer_form form, const json& value, const jsonl_reader& at) {
  const record_fields record(value, at);
  if (is_fastchat(form)) return read_fastchat_question(form, value, record);
  benchmark_question out;
  if (!from_json(value, at, out.prompt)) return std::nullopt;
  out.before = out.prompt.messages();
  out.before.pop_back();
  out.turns = {out.prompt.question()};
  out.dataset = record.has("dataset") ? record.text("dataset") : at.path().stem().string();
  return out;
}

json answer_record(answer_form form, const benchmark_question& question, const std::vector<std::string>& turns,
                   bool finished, const answer_identity& identity) {
  require_argument(turns.size() == question.turns.size(), "answers: one answer per turn is needed");
  if (is_fastchat(form)) {
    json out;
    out["question_id"] = json::parse(question.id);
    out["answer_id"] = hash_answer(question, turns, identity);
    out["model_id"] = identity.model_id;
    out["choices"] = json::array({{{"index", 0}, {"turns", turns}}});
    out["tstamp"] = identity.timestamp;
    return out;
  }
  if (form == answer_form::alpaca_eval)
    return {{"instruction", question.prompt.text()},
            {"output", turns.front()},
            {"generator", identity.model_id},
            {"dataset", question.dataset}};
  return to_json(sample_record{.prompt = question.prompt, .responses = {turns.front()}, .finished = {finished}});
}

double fastchat_temperature(std::string_view category) {
  constexpr std::array<std::pair<std::string_view, double>, 8> temperatures{{{"writing", 0.7},
                                                                             {"roleplay", 0.7},
                                                                             {"extraction", 0.0},
                                                                             {"math", 0.0},
                                                                             {"coding", 0.0},
                                                                             {"reasoning", 0.0},
                                                                             {"stem", 0.1},
                                                                             {"humanities", 0.1}}};
  for (const auto& [known, temperature] : temperatures)
    if (known == category) return temperature;
  return 0.7;
}

}  // namespace coho::trainer
