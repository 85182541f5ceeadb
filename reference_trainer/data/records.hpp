#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/jsonl.hpp"

namespace coho::trainer {

/// What kind of question a prompt is; the principles sampled at RL time and the length bonus depend on it.
enum class question_kind { general = 0, reasoning = 1, red_teaming = 2 };
/// "general", "reasoning", "red_teaming": as recipes name them.
std::string_view name_of(question_kind kind);

/// A prompt: instruction, optional input, and what the released data say about it.
struct prompt_record {
  std::string instruction;
  std::string input{};
  std::string output{};                  ///< a reference answer; empty when there is none
  std::optional<double> length_bonus{};  ///< the record's own factor on the length bonus
  question_kind kind = question_kind::general;
  std::string source{};    ///< the collection that it came from; empty when unknown
  std::string language{};  ///< ISO 639 code, "un" for one that was not recognised; empty when nobody looked

  /// Instruction and input as one text, a blank line between them.
  std::string text() const { return input.empty() ? instruction : instruction + "\n\n" + input; }
  friend bool operator==(const prompt_record&, const prompt_record&) = default;
};

/// A prompt with a response to learn from.
struct sft_record {
  prompt_record prompt;
  std::string response;
  friend bool operator==(const sft_record&, const sft_record&) = default;
};

/// A prompt with the responses sampled for it.
struct sample_record {
  prompt_record prompt;
  std::vector<std::string> responses;
  std::vector<bool> finished;  ///< one a response: ended by itself rather than by the length limit
  friend bool operator==(const sample_record&, const sample_record&) = default;
};

/// A prompt with two responses to compare.
struct pair_record {
  prompt_record prompt;
  std::string response_1, response_2;
  friend bool operator==(const pair_record&, const pair_record&) = default;
};

/// The judge's two readings of one principle on one pair. Both say how far response 1 is preferred (log-odds).
struct principle_judgement {
  std::string principle;
  double in_order = 0;  ///< response 1 shown first
  double swapped = 0;   ///< response 2 shown first, the sign already turned
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
  std::string text{};  ///< the definition shown to the reward model; empty when the record holds the name alone
  double score = 0;    ///< how far response 1 is preferred under it, negation included; 0 when unknown
  friend bool operator==(const chosen_principle&, const chosen_principle&) = default;
};

/// A pair with the principles it is judged under and the label. No principles: a plain human preference.
struct preference_record {
  prompt_record prompt;
  std::string response_1, response_2;
  int preferred = 1;  ///< 1 or 2
  std::vector<chosen_principle> principles{};
  std::optional<std::size_t> dominant{};  ///< index of the principle that decided
  /// With principles the size of the dominant one's score, 0 when unknown; without them what the record asks of the
  /// difference of the scores (bradley_terry_loss), 0 when it does not say.
  double margin = 0;

  const std::string& chosen() const { return preferred == 1 ? response_1 : response_2; }
  const std::string& rejected() const { return preferred == 1 ? response_2 : response_1; }
  friend bool operator==(const preference_record&, const preference_record&) = default;
};

/// A response with a yes-or-no label (KTO).
struct labelled_record {
  prompt_record prompt;
  std::string response;
  bool desirable = true;
  friend bool operator==(const labelled_record&, const labelled_record&) = default;
};

/// JSON forms. `to_json` writes ours; `from_json` reads one value of any form listed, or throws `file_error` at the
/// reader's place naming the fields seen and the forms accepted. It returns false for a record to be left out (SHP with
/// a score ratio of at most 2).
///
/// - prompt: {"instruction","input" or "context"?,"output"?,"length_bonus"?,"question_type"?,"source"?,"language"?}
///   (the type as its number or name), {"prompt"} (text or messages), {"question","answer"?} and {"problem","solution"}
///   (reasoning questions), {"system_prompt","question","response"} (a general one), {"conversations"} or {"messages"}
///   (first turn), {"turns"}, a conversation tree {"prompt":{"text"}}, a message of one {"message_id","parent_id","role",
///   "text"} (left out unless it is the first), or a bare string; judged, paired and sampled records serve as prompts
///   too.
/// - sft: the same, with a response ("output", "response", "answer", "completion", or the first answer of a
/// conversation).
/// - sample: {"instruction","responses","finished"?}, and a pair as two responses.
/// - pair: {"instruction","output_1","output_2"}, and {"instruction","responses":[two]}.
/// - preference: ours and the released SALMON form; HH-RLHF {"chosen","rejected"} dialogues; SHP;
/// {"prompt"|"conversations"|
///   "instruction"|"question","chosen","rejected"} with text, one message or a list of messages; {"Question","Answer1",
///   "Answer2","Preference"}.
/// - labelled: {"prompt"|"messages"|…,"completion"?,"label": bool}.
json to_json(const prompt_record& record);
json to_json(const sft_record& record);
json to_json(const sample_record& record);
json to_json(const pair_record& record);
json to_json(const judgement_record& record);
json to_json(const preference_record& record);
json to_json(const labelled_record& record);

bool from_json(const json& value, const jsonl_reader& at, prompt_record& record);
bool from_json(const json& value, const jsonl_reader& at, sft_record& record);
bool from_json(const json& value, const jsonl_reader& at, sample_record& record);
bool from_json(const json& value, const jsonl_reader& at, pair_record& record);
bool from_json(const json& value, const jsonl_reader& at, judgement_record& record);
bool from_json(const json& value, const jsonl_reader& at, preference_record& record);
bool from_json(const json& value, const jsonl_reader& at, labelled_record& record);

/// Streams typed records. A file in which no record is found is an error, said at its end.
///
///     record_reader<preference_record> reader("hh.jsonl.gz");
///     for (preference_record record; reader.next(record);) use(record);
template <class Record>
class record_reader {
 public:
  explicit record_reader(const std::filesystem::path& path) : reader_(path) {}

  bool next(Record& record);

  std::size_t kept() const noexcept { return kept_; }
  std::size_t left_out() const noexcept { return left_out_; }
  const jsonl_reader& reader() const noexcept { return reader_; }

 private:
  jsonl_reader reader_;
  std::size_t kept_ = 0, left_out_ = 0;
};

/// All records of a file, or the first `limit`. Throws `file_error` when there is none.
template <class Record>
std::vector<Record> read_records(const std::filesystem::path& path,
                                 std::size_t limit = std::numeric_limits<std::size_t>::max()) {
  std::vector<Record> out;
  record_reader<Record> reader(path);
  for (Record record; out.size() < limit && reader.next(record);) out.push_back(std::move(record));
  return out;
}

/// A dialogue "\n\nHuman: …\n\nAssistant: …" pair split where the two part: the longest common prefix that ends with
/// "Assistant:". Nothing when there is no such prefix.
struct dialogue_pair {
  std::string prompt;  ///< up to and with the last common "Assistant:"
  std::string chosen, rejected;
};
std::optional<dialogue_pair> split_dialogues(std::string_view chosen, std::string_view rejected);

}  // namespace coho::trainer
