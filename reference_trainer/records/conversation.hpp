#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/prompt/chat_text.hpp>

#include "jsonl/record_fields.hpp"

namespace coho::trainer {

/// A conversation, as every form of record is read and every stage uses it: a system text, which may be empty, then
/// user and assistant in turn, the user first. What is trained on of a reply stands in its message (weight, finished).
struct conversation {
  std::string system{};
  std::vector<chat_message> turns{};

  bool asks() const { return !turns.empty() && turns.back().role == chat_role::user; }
  friend bool operator==(const conversation&, const conversation&) = default;
};

/// Reads a list of messages {"role", "content", "weight"?} or {"from", "value"}; content is text, or a list of parts
/// that are all text. System messages may only come first; several are joined by a blank line.
///
/// Throws `file_error` at the record's place, naming field and message: for a message of a tool or with a call of one,
/// a part that is not text, an empty message, two messages in a row of one speaker, an assistant's first (unless
/// `continues`: the list goes on from a question), a weight below 0.
conversation read_conversation(const json& list, const record_fields& record, std::string_view field,
                               bool continues = false);

/// Whether a field is a list whose first item is an object: messages rather than texts or pairs.
bool is_list_of_messages(const record_fields& record, std::string_view name);

/// Reads the column "history": a list of [question, answer] pairs (LLaMA-Factory), or of messages; null or [] is none.
std::vector<chat_message> read_history(const record_fields& record);

/// The text of the column "system", of "system_prompt", or of a system message at the head of "history"; empty when
/// there is none. Throws `file_error` where two of them hold different texts.
std::string read_system(const record_fields& record);

/// Takes the columns "system" and "history" into a conversation: the history comes before its turns. Throws
/// `file_error` where they contradict a system message, or the history is given twice.
void add_columns(conversation& talk, const record_fields& record);

/// The words before a turn of a transcript.
inline constexpr std::string_view human_heading = "Human:", assistant_heading = "Assistant:";

/// Whether a text is a transcript as HH-RLHF has them: "Human: …", and "Assistant:" at the beginning of a later line.
bool is_transcript(std::string_view text);
/// The turns of such a text, white space around each dropped. Turns part at "Human:" and "Assistant:" behind a blank
/// line or, in a text without any such, behind a line break; "\r\n" is a line break. Turns in a row of one speaker are
/// one. An empty turn of the assistant at the end is left out: it only opens the answer.
std::vector<chat_message> read_transcript(std::string_view text);

/// A conversation as judges and reward models read it: a single question as it is; several turns as a transcript
/// "Human: …\n\nAssistant: …"; the system text first, a blank line behind it.
std::string dialogue_text(const conversation& talk);
/// What follows on a question, as text: the reply, then further turns as in a transcript.
std::string continuation_text(std::span<const chat_message> turns);

}  // namespace coho::trainer
