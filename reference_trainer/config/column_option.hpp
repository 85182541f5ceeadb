#pragma once

#include <array>
#include <span>
#include <string_view>

#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// The option `columns` of a section that reads data files.
inline constexpr recipe_option columns_option = otherwise(
    "all",
    {"columns",
     "columns that are read, under the names that the stage knows: { prompt = \"question\" }; parts of a path have "
     "dots between them (\"messages.0.content\"), a last ? marks a column that records may lack"});

/// Names of the fields that records of a kind are read from.
inline constexpr std::array<std::string_view, 24> prompt_columns{
    "answer",        "category", "completion",   "context",  "conversations", "history",       "id",     "input",
    "instruction",   "language", "length_bonus", "messages", "output",        "problem",       "prompt", "question",
    "question_type", "response", "solution",     "source",   "system",        "system_prompt", "tools",  "turns"};
inline constexpr std::array<std::string_view, 22> sft_columns{
    "answer",   "completion", "context", "conversations", "finished", "history",  "input",         "instruction",
    "language", "messages",   "output",  "problem",       "prompt",   "question", "question_type", "response",
    "solution", "source",     "system",  "system_prompt", "tools",    "weight"};
inline constexpr std::array<std::string_view, 15> sample_columns{
    "context",  "finished", "history",       "input",     "instruction", "language", "length_bonus", "output",
    "output_1", "output_2", "question_type", "responses", "source",      "system",   "system_prompt"};
inline constexpr std::array<std::string_view, 31> preference_columns{
    "Answer1",       "Answer2",          "Preference", "Question",    "chosen",
    "conversations", "dimension_scores", "dimensions", "dominant",    "history",
    "human_ref_A",   "human_ref_B",      "input",      "instruction", "labels",
    "language",      "length_bonus",     "margin",     "messages",    "negative_definitions",
    "output_1",      "output_2",         "preference", "principles",  "prompt",
    "question",      "question_type",    "rejected",   "score_ratio", "system",
    "system_prompt"};
inline constexpr std::array<std::string_view, 23> labelled_columns{
    "answer",   "completion", "context",  "conversations", "finished",      "history", "input",    "instruction",
    "label",    "language",   "messages", "output",        "problem",       "prompt",  "question", "question_type",
    "response", "solution",   "source",   "system",        "system_prompt", "tools",   "weight"};

/// config_error for a chosen name that the stage does not read, naming those that it does, and for an empty path.
void check_columns(const config& section, const column_choice& columns, std::span<const std::string_view> names);

}  // namespace coho::trainer
