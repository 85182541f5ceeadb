#pragma once

#include "records/records.hpp"

namespace coho::trainer {

/// Throws file_error at the reader's place for a record whose prompt, or whose response to learn, is blank
/// (coho::is_blank). Responses that are compared with others may be: what a policy answers with nothing is judged like
/// the rest.
void refuse_empty_texts(const prompt_record& record, const jsonl_reader& at);
void refuse_empty_texts(const sft_record& record, const jsonl_reader& at);
void refuse_empty_texts(const sample_record& record, const jsonl_reader& at);
void refuse_empty_texts(const pair_record& record, const jsonl_reader& at);
void refuse_empty_texts(const judgement_record& record, const jsonl_reader& at);
void refuse_empty_texts(const preference_record& record, const jsonl_reader& at);
void refuse_empty_texts(const labelled_record& record, const jsonl_reader& at);

}  // namespace coho::trainer
