#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// What the records of data files are: their columns, the kinds of record that they are read as, and their prompts.
struct data_survey {
  /// The kinds, and the stages that read them.
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kinds{
      {{"prompts", "prompts, self-align, sample, ppo, generate"},
       {"conversations with a reply", "sft"},
       {"preferences", "reward"},
       {"samples", "judge"},
       {"judgements", "aggregate"}}};

  struct column {
    std::string name;
    std::map<std::string, std::size_t> types{};  ///< records by the JSON type of their value
  };
  struct example {
    std::string place, text;
  };

  std::size_t records = 0, duplicates = 0;
  std::vector<column> columns{};  ///< in the order of their first record
  std::array<std::size_t, kinds.size()> readable{};
  std::array<std::string, kinds.size()> refusals{};  ///< the first record that is not of the kind
  std::array<std::vector<example>, kinds.size()> examples{};
  std::map<std::string, std::size_t> languages{};
  std::vector<std::size_t> lengths{};  ///< of the prompts, in tokens; empty without a tokenizer
  std::vector<std::string> faults{};   ///< the first records that are not read at all
  std::size_t bad = 0;
};

/// Reads every record of a file or folder. A record that is no JSON is counted as bad, and reading goes on after it
/// where the file allows that. Throws `file_error` for a file that cannot be opened.
data_survey survey_data(const std::filesystem::path& path, std::size_t examples,
                        const std::function<std::size_t(std::string_view)>& count_tokens = {});

/// "Parquet", "text, packed with zstd" or "text".
std::string data_form(const std::filesystem::path& file);

}  // namespace coho::trainer
