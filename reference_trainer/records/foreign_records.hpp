#pragma once

#include "jsonl/record_fields.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// Optional details of a prompt in any form: length_bonus, question_type (its number or name), source, language.
void read_prompt_details(const record_fields& fields, prompt_record& record);

/// Reads a prompt, and a response if there is one, from the forms of other projects (from_json lists them); a reply at
/// the end of a conversation is the response. False: none of these forms. Throws `file_error` at the record's place.
bool read_foreign_exchange(const json& value, const record_fields& fields, sft_record& record);

/// Whether a record has its conversation as a list, in "conversations" or "messages". Such a list takes precedence over
/// "instruction", "prompt" or "question".
bool has_conversation(const record_fields& fields);

/// Whether a record with a "question" belongs to a collection of problems, which have neither a system text nor answers
/// to compare (GSM8K).
bool is_reasoning_question(const record_fields& fields);

/// A single message of a conversation tree, {"message_id","role","text","parent_id"?,"lang"?,"deleted"?}
/// (OpenAssistant), and whether it starts a conversation: from a user, with nothing before it, not deleted.
bool is_tree_message(const record_fields& fields);
bool is_first_message(const record_fields& fields);

/// Reads a human preference in another project's form (from_json lists them). False: it is one of SHP with a score
/// ratio of at most 2, to be left out. Throws `file_error` at the record's place for any other form.
bool read_foreign_preference(const record_fields& fields, preference_record& record);

/// Replaces the principles by those of the released SALMON form, which are Python tuples printed into strings, and sets
/// the dominant one and the label's margin from their scores.
void read_released_principles(const record_fields& fields, preference_record& record);

}  // namespace coho::trainer
