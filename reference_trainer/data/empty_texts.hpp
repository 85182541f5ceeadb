#pragma once

#include <string_view>

#include "data/records.hpp"

namespace coho::trainer {

/// Whether a text holds nothing but white space, Unicode's included.
bool is_blank(std::string_view text) noexcept;

/// Throws file_error at the reader's place for a record whose prompt, or whose response to be learnt, is blank.
/// Responses that are compared with others may be: what a policy answers with nothing is judged like the rest.
void refuse_empty_texts(const prompt_record& record, const jsonl_reader& at);
void refuse_empty_texts(const sft_record& record, const jsonl_reader& at);
void refuse_empty_texts(const sample_record& record, const jsonl_reader& at);
void refuse_empty_texts(const pair_record& record, const jsonl_reader& at);
void refuse_empty_texts(const judgement_record& record, const jsonl_reader& at);
void refuse_empty_texts(const preference_record& record, const jsonl_reader& at);
void refuse_empty_texts(const labelled_record& record, const jsonl_reader& at);

}  // namespace coho::trainer
