#pragma once

#include <optional>

#include "collection/prompt_removal.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// The first query of a user out of one record of somebody's collection, as it stands there.
struct source_prompt {
  prompt_record prompt{};  ///< `language` is what the record says of it; no reference answer
  std::optional<prompt_removal> removed{};
  bool from_page = false;  ///< ShareGPT's form: copied from the page of a chat
  std::string category{};  ///< what the record calls its kind (Dolly's "open_qa"); empty when it does not
  std::string part{};      ///< of an id "cot.1234" what is in front of the point: OpenOrca's part of FLAN; else empty
};

/// Reads one record; the form is recognised by the fields. Beside what `prompt_record` is read from: ShareGPT, Dolly,
/// OpenAssistant (trees and messages), OpenOrca, MATH, GSM8K, and preferences of all forms, of which HH-RLHF's are
/// dialogues. Of conversations the first turn alone is taken; system messages are passed over, and one that an answer
/// begins is removed, as are later parts of a conversation that was split (ShareGPT's ids "QWJhYvA_1", "QWJhYvA_2").
///
/// Throws `file_error` at the reader's place for a record of no form known, naming the fields seen and the forms
/// accepted, and for fields of a wrong type.
source_prompt read_source_prompt(const json& value, const jsonl_reader& at);

}  // namespace coho::trainer
