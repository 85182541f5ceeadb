#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/principle/prompt_type.hpp>
#include <coho/prompt/chat_text.hpp>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// A prompt: the last question (an instruction and an optional input) of a conversation, the turns before it, and the
/// metadata of the released data.
struct prompt_record {
  std::string instruction;
  std::string input{};
  std::string output{};                     ///< a reference answer; empty if there is none
  std::optional<double> length_bonus{};     ///< the record's factor on the length bonus
  prompt_type type = prompt_type::general;  ///< the field `question_type`
  std::string source{};                     ///< the collection that it comes from; empty if unknown
  std::string language{};                   ///< ISO 639 code, "un" if not recognised; empty if not determined
  std::string system{};                     ///< the conversation's system text
  std::vector<chat_message> history{};      ///< its earlier turns: user and assistant, an even number

  /// Instruction and input as one text, separated by a blank line: the last question.
  std::string question() const { return input.empty() ? instruction : instruction + "\n\n" + input; }
  /// The whole as one text, as judges and reward models read it (dialogue_text of conversation.hpp).
  std::string text() const;
  /// The whole as messages, the input of a policy.
  std::vector<chat_message> messages() const;
  friend bool operator==(const prompt_record&, const prompt_record&) = default;
};

/// A conversation to train on: a prompt with its response. All its replies may be trained on.
struct sft_record {
  prompt_record prompt;
  std::string response;
  double weight = 1;     ///< of the response's tokens; those of earlier replies are in the history
  bool finished = true;  ///< false: the response was cut, so no end is trained

  /// The messages, the response last.
  std::vector<chat_message> messages() const;
  friend bool operator==(const sft_record&, const sft_record&) = default;
};

/// A prompt with the responses sampled for it.
struct sample_record {
  prompt_record prompt;
  std::vector<std::string> responses;
  std::vector<bool> finished;  ///< one per response: whether it ended by itself rather than by the length limit
  friend bool operator==(const sample_record&, const sample_record&) = default;
};

/// A prompt with two responses to compare.
struct pair_record {
  prompt_record prompt;
  std::string response_1, response_2;
  friend bool operator==(const pair_record&, const pair_record&) = default;
};

/// The judge's two scores of one principle for one pair: the log-odds that response 1 is preferred.
struct principle_judgement {
  std::string principle;
  double in_order = 0;  ///< response 1 shown first
  double swapped = 0;   ///< response 2 shown first, with the sign already flipped
  double mean() const { return 0.5 * (in_order + swapped); }
  friend bool operator==(const principle_judgement&, const principle_judgement&) = default;
};

/// A pair with its scores under each principle.
struct judgement_record {
  pair_record pair;
  std::vector<principle_judgement> scores;
  friend bool operator==(const judgement_record&, const judgement_record&) = default;
};

/// A principle as a preference record names it.
struct chosen_principle {
  std::string name;
  bool negated = false;
  std::string text{};  ///< the definition shown to the reward model; empty if the record has only the name
  double score = 0;    ///< log-odds that response 1 is preferred under it, negation included; 0 if unknown
  friend bool operator==(const chosen_principle&, const chosen_principle&) = default;
};

/// A pair with its principles and the label. No principles: a plain human preference.
struct preference_record {
  prompt_record prompt;
  std::string response_1, response_2;
  int preferred = 1;  ///< 1 or 2
  std::vector<chosen_principle> principles{};
  std::optional<std::size_t> dominant{};  ///< index of the principle that decided
  /// With principles: the absolute score of the dominant one, 0 if unknown; without: the record's margin for the
  /// difference of the scores (bradley_terry_loss), 0 if it has none.
  double label_margin = 0;

  const std::string& chosen() const { return preferred == 1 ? response_1 : response_2; }
  const std::string& rejected() const { return preferred == 1 ? response_2 : response_1; }
  friend bool operator==(const preference_record&, const preference_record&) = default;
};

/// JSON forms. `to_json` writes ours; `from_json` reads one value of any form listed, or throws `file_error` at the
/// reader's place naming the fields found and the forms accepted. It returns false for a record to leave out (SHP with
/// a score ratio of at most 2).
///
/// - prompt: {"instruction","input" or "context"?,"output"?,"length_bonus"?,"question_type"?,"source"?,"language"?}
///   (the type as its number or name), {"prompt"} (text, a transcript or messages), {"question","answer"?} and
///   {"problem","solution"} (reasoning questions), {"system_prompt" or "system","question",…} (a general one),
///   {"conversations"} or {"messages"} (what the last reply answers, or the question at the end), {"turns"} (the first),
///   a conversation tree {"prompt":{"text"}}, a message of one {"message_id","parent_id","role","text"} (left out unless
///   it is the first), or a bare string; judged, paired and sampled records are prompts too. "system" or
///   "system_prompt" and "history" (pairs of question and answer) can be added to each.
/// - sft: the same, with a response ("output", "response", "answer", "completion", or the last reply of a conversation)
///   and "finished"?: true or false. Messages of assistants may have a "weight".
/// - sample: {"instruction","responses","finished"?}, and a pair as two responses.
/// - pair: {"instruction","output_1","output_2"}, and {"instruction","responses":[two]}.
/// - preference: ours and the released SALMON form; HH-RLHF {"chosen","rejected"} transcripts, or lists of messages;
///   SHP; {"prompt"|"conversations"|"messages"|"instruction"|"question","chosen","rejected"} with text, one message or a
///   list of messages; {"Question","Answer1","Answer2","Preference"}. The common beginning, up to its last question,
///   is the prompt; the rest is compared, further turns as in a transcript.
json to_json(const prompt_record& record);
json to_json(const sft_record& record);
json to_json(const sample_record& record);
json to_json(const pair_record& record);
json to_json(const judgement_record& record);
json to_json(const preference_record& record);

bool from_json(const json& value, const jsonl_reader& at, prompt_record& record);
bool from_json(const json& value, const jsonl_reader& at, sft_record& record);
bool from_json(const json& value, const jsonl_reader& at, sample_record& record);
bool from_json(const json& value, const jsonl_reader& at, pair_record& record);
bool from_json(const json& value, const jsonl_reader& at, judgement_record& record);
bool from_json(const json& value, const jsonl_reader& at, preference_record& record);

/// Throws `coho::error` for a record that its use rules out. Empty: every record can be used.
template <class Record>
using record_check = std::function<void(const Record&)>;

/// Streams typed records. A file without any record is an error, reported at its end.
///
///     record_reader<preference_record> reader("hh.jsonl.gz");
///     for (preference_record record; reader.next(record);) use(record);
template <class Record>
class record_reader {
 public:
  /// A record that `check` rules out is a bad one: `file_error` with its place.
  explicit record_reader(const std::filesystem::path& path, const column_choice& columns = {},
                         record_check<Record> check = {})
      : reader_(path, {}, columns), check_(std::move(check)) {}

  /// The next record that is used; false at the end. Throws `file_error` for a bad one (but see bad_records), and at
  /// the end of a file without any.
  bool next(Record& record);

  /// Records returned so far, and those that their form excludes.
  std::size_t kept() const noexcept { return kept_; }
  std::size_t left_out() const noexcept { return left_out_; }
  const jsonl_reader& reader() const noexcept { return reader_; }

 private:
  jsonl_reader reader_;
  record_check<Record> check_;
  std::size_t kept_ = 0, left_out_ = 0;
};

inline constexpr std::size_t all_records = std::numeric_limits<std::size_t>::max();

/// All records of a file, or the first `limit`. Throws `file_error` if there is none, and for one that `check` rules
/// out.
template <class Record>
std::vector<Record> read_records(const std::filesystem::path& path, std::size_t limit = all_records,
                                 const column_choice& columns = {}, record_check<Record> check = {}) {
  std::vector<Record> out;
  record_reader<Record> reader(path, columns, std::move(check));
  for (Record record; out.size() < limit && reader.next(record);) out.push_back(std::move(record));
  return out;
}

}  // namespace coho::trainer
