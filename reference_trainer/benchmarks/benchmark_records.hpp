#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jsonl/jsonl.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// The formats that `generate` answers and writes.
///
/// | form | questions | answers |
/// | --- | --- | --- |
/// | jsonl | prompts of any form | our records, JSON Lines |
/// | mt_bench | FastChat's question.jsonl, two turns | FastChat's model_answer, JSON Lines |
/// | vicuna_bench | the same with one turn | the same |
/// | alpaca_eval | prompts of any form | AlpacaEval's model outputs, a JSON list |
enum class answer_form : std::uint8_t { jsonl, mt_bench, vicuna_bench, alpaca_eval };
constexpr auto option_names(answer_form) { return std::array{"jsonl", "mt_bench", "vicuna_bench", "alpaca_eval"}; }

inline bool is_fastchat(answer_form form) { return form == answer_form::mt_bench || form == answer_form::vicuna_bench; }

/// A question with everything that its answer record must repeat.
struct benchmark_question {
  prompt_record prompt{};              ///< not set for FastChat's forms
  std::vector<chat_message> before{};  ///< system text and earlier turns of a conversation
  std::vector<std::string> turns;      ///< the user's messages, in order; at least one
  std::string id{};                    ///< FastChat's question_id as JSON, returned unchanged, number or text
  std::string category{};
  std::string dataset{};  ///< AlpacaEval's; the file's name if a record has none
};

/// Reads one value of a question file; nothing for a record that is not a question, such as a reply in a conversation
/// tree. Throws file_error at the reader's place.
std::optional<benchmark_question> read_benchmark_question(answer_form form, const json& value, const jsonl_reader& at);

/// The fields of an answer other than its text.
struct answer_identity {
  std::string model_id;
  double timestamp = 0;  ///< FastChat's tstamp, seconds; its judges do not read it
};

/// The record of an answer. `turns`: the model's answers, one text per turn. FastChat's answer_id is a hash of model,
/// question and answer, so the same run writes the same file.
json answer_record(answer_form form, const benchmark_question& question, const std::vector<std::string>& turns,
                   bool finished, const answer_identity& identity);

/// The sampling temperature that FastChat uses for a category of MT-Bench: 0.7 for writing and roleplay, 0 for
/// extraction, math, coding and reasoning, 0.1 for stem and humanities, 0.7 for any other.
double fastchat_temperature(std::string_view category);

}  // namespace coho::trainer
