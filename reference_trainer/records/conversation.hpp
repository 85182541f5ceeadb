#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/prompt/chat_text.hpp>

#include "jsonl/record_fields.hpp"

namespace coho::trainer {

/// A conversation, the common form of all records and stages: a system text, which may be empty, then user and
/// assistant in turn, the user first. The messages say which replies are trained on (weight, finished).
struct conversation {
  std::string system{};
  std::vector<chat_message> turns{};

  bool asks() const { return !turns.empty() && turns.back().role == chat_role::user; }
  friend bool operator==(const conversation&, const conversation&) = default;
};

/// Reads a list of messages {"role", "content", "weight"?} or {"from", "value"}; content is text, or a list of parts
/// that are all text. System messages may only come first; several are joined by a blank line.
///
/// Throws `file_error` at the record's place, naming field and message, for a tool's message or a call of a tool, a
/// part that is not text, an empty message, two consecutive messages of one speaker, an assistant's message first
/// (unless `continues`: the list continues a question), and a negative weight.
conversation read_conversation(const json& list, const record_fields& record, std::string_view field,
                               bool continues = false);

/// Whether a field is a list whose first item is an object: messages rather than texts or pairs.
bool is_list_of_messages(const record_fields& record, std::string_view name);

/// Reads the column "history": a list of [question, answer] pairs (LLaMA-Factory), or of messages; null or [] is none.
std::vector<chat_message> read_history(const record_fields& record);

/// The text of the column "system", of "system_prompt", or of a system message at the start of "history"; empty if
/// there is none. Throws `file_error` if two of them have different texts.
std::string read_system(const record_fields& record);

/// Merges the columns "system" and "history" into a conversation: the history comes before its turns. Throws
/// `file_error` if they contradict a system message, or the history is given twice.
void merge_columns(conversation& talk, const record_fields& record);

/// The words before a turn of a transcript.
inline constexpr std::string_view human_heading = "Human:", assistant_heading = "Assistant:";

/// Whether a text is a transcript in the style of HH-RLHF: "Human: …", with "Assistant:" at the beginning of a later
/// line.
bool is_transcript(std::string_view text);
/// The turns of such a text, without surrounding white space. A turn begins at "Human:" or "Assistant:" after a blank
/// line or, in a text without any such, after a line break; "\r\n" is a line break. Consecutive turns of one speaker
/// are merged. An empty final turn of the assistant is dropped: it only opens the answer.
std::vector<chat_message> read_transcript(std::string_view text);

/// A conversation as judges and reward models read it: a single question as it is; several turns as a transcript
/// "Human: …\n\nAssistant: …"; the system text first, followed by a blank line.
std::string dialogue_text(const conversation& talk);
/// The text after a question: the reply, then further turns as in a transcript.
std::string continuation_text(std::span<const chat_message> turns);

}  // namespace coho::trainer
