#pragma once

#include <optional>

#include "collection/prompt_removal.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// A user's first query from one record of another project's collection, verbatim.
struct source_prompt {
  prompt_record prompt{};  ///< `language` is what the record says; no reference answer
  std::optional<prompt_removal> removed{};
  bool from_page = false;  ///< ShareGPT's form: copied from the page of a chat
  std::string category{};  ///< the record's name for its kind (Dolly's "open_qa"); empty if it has none
  std::string part{};      ///< for an id "cot.1234" the text before the dot: OpenOrca's part of FLAN; otherwise empty
};

/// Reads one record; the form is recognised by the fields: those that `prompt_record` is read from, ShareGPT, Dolly,
/// OpenAssistant (trees and messages), OpenOrca, MATH, GSM8K, and preferences of all forms, including HH-RLHF's
/// dialogues. Only the first turn of a conversation is used; system messages are skipped. A conversation that begins
/// with an answer is removed, as are later parts of a split conversation (ShareGPT's ids "QWJhYvA_1", "QWJhYvA_2").
///
/// Throws `file_error` at the reader's place for a record of unknown form, naming the fields found and the forms
/// accepted, and for fields of a wrong type.
source_prompt read_source_prompt(const json& value, const jsonl_reader& at);

}  // namespace coho::trainer
