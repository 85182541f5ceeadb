#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collection/length_counts.hpp"
#include "collection/source_prompt.hpp"
#include "jsonl/jsonl.hpp"
#include "records/records.hpp"

namespace coho::trainer {

/// The records of a file that the stages of one kind read.
template <class Record>
struct kind_survey {
  struct example {
    std::string place;
    Record record;
  };
  std::size_t readable = 0;
  std::size_t left_out = 0;  ///< read, and not used: SHP's narrow pairs, replies of a conversation tree
  std::string refusal{};     ///< why the first other record is not of the kind
  std::vector<example> examples{};
};

/// What data files hold: their columns, the kinds of record that they are read as, and the texts.
struct data_survey {
  /// More columns, types of a column and languages than these are counted as `others`.
  static constexpr std::size_t most_columns = 100, most_types = 6, most_languages = 100;
  static constexpr const char* others = "others";
  static constexpr std::array text_names{"prompt", "reply", "chosen", "rejected", "response"};

  struct column {
    std::string name;
    std::map<std::string, std::size_t> types{};  ///< records by the type of their value; null has none
    std::string first{};                         ///< the beginning of the first value that is not null, as JSON
  };

  std::size_t records = 0;
  std::vector<column> columns{};  ///< in the order of their first record
  kind_survey<source_prompt> sources{};
  kind_survey<prompt_record> prompts{};
  kind_survey<sft_record> conversations{};
  kind_survey<preference_record> preferences{};
  kind_survey<sample_record> samples{};
  kind_survey<judgement_record> judgements{};

  std::size_t equal_records = 0;                   ///< the same as an earlier one
  std::size_t repeated_prompts = 0;                ///< the text of an earlier one, ignoring case and white space
  std::map<std::string, std::size_t> stated{};     ///< languages that the records state
  std::map<std::string, std::size_t> languages{};  ///< those recognised in the prompts
  std::map<std::string, length_counts> lengths{};  ///< of the texts of each of `text_names`
  std::map<std::string, std::size_t> dropped{};    ///< parts that stages do not use (dropped_parts)

  std::vector<std::string> faults{};  ///< of the first records that cannot be read at all
  std::size_t bad = 0;                ///< their number

  /// Calls use(name, stages, survey of the kind).
  void for_each_kind(auto&& use) const {
    use("collected prompts", "prompts", sources);
    use("prompts", "self-align, sample, ppo, generate", prompts);
    use("conversations", "sft", conversations);
    use("preferences", "reward, dpo, eval preferences", preferences);
    use("samples", "judge", samples);
    use("judgements", "aggregate", judgements);
  }
  /// Whether a stage reads any of the records.
  bool is_readable() const;
};

struct data_survey_options {
  column_choice columns{};
  std::size_t limit = 0;                                  ///< records, from the start of the file; 0: all
  std::size_t examples = 1;                               ///< records kept of each kind
  std::function<std::size_t(std::string_view)> length{};  ///< of a text
  std::function<void()> tick{};                           ///< called after each record; may throw to stop
};

/// Reads the records of a file or folder as every stage does. Memory: two hashes per record, whatever the file's size.
/// A record that is not JSON, or lacks a chosen column, is counted as bad, and reading goes on after it where the file
/// allows that. Throws `file_error` for a file that cannot be opened, and where the first record lacks a chosen column.
data_survey survey_data(const std::filesystem::path& path, const data_survey_options& options);

/// "Parquet", "JSON Lines", "JSON, one list", or "JSON, packed with zstd".
std::string data_form(const std::filesystem::path& file);

}  // namespace coho::trainer
