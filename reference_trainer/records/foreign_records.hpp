#pragma once

#include "jsonl/record_fields.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// What a prompt of any form may carry: length_bonus, question_type (its number or name), source, language.
void read_prompt_details(const record_fields& fields, prompt_record& record);

/// A prompt, and a response if there is one, out of the forms that other projects use; where a conversation ends with a
/// reply that is the response. False: none of them.
bool foreign_exchange(const json& value, const record_fields& fields, sft_record& record);

/// Whether a record holds its conversation as a list, in "conversations" or "messages". Whatever "instruction",
/// "prompt" or "question" stands next to it, the conversation is what the record says.
bool has_conversation(const record_fields& fields);

/// Whether a record with a "question" is one of a collection of problems, which have neither system text nor answers to
/// compare (GSM8K).
bool is_reasoning_question(const record_fields& fields);

/// A message of a conversation tree on its own, {"message_id","role","text","parent_id"?,"lang"?,"deleted"?}
/// (OpenAssistant), and whether it is one to which nothing came before, from a user, not deleted.
bool is_tree_message(const record_fields& fields);
bool is_first_message(const record_fields& fields);

/// A human preference in another project's form, or `file_error`. False: to be left out.
bool foreign_preference(const record_fields& fields, preference_record& record);

/// Principles of the released SALMON form: Python tuples printed into strings.
void read_released_principles(const record_fields& fields, preference_record& record);

}  // namespace coho::trainer
