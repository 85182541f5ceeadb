#include "collection/data_survey.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/rng.hpp>

#include "jsonl/parquet_rows.hpp"
#include "jsonl/unpacked_file.hpp"
#include "records/records.hpp"
#include "text/clean_text.hpp"
#include "text/language.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer {
namespace {

constexpr std::size_t most_faults = 5;

// "list of objects" for a column of messages; otherwise the JSON type.
std::string type_text(const json& value) {
  if (!value.is_array()) return value.is_string() ? "text" : std::string(value.type_name());
  if (value.empty()) return "empty list";
  const auto& first = value.front();
  return "list of " + std::string(first.is_string() ? "texts" : std::string(first.type_name()) + "s");
}

std::string text_of(const prompt_record& record) { return "prompt: " + record.text(); }
std::string text_of(const sft_record& record) {
  return "prompt: " + record.prompt.text() + "\nreply, learned: " + record.response;
}
std::string text_of(const preference_record& record) {
  return "prompt: " + record.prompt.text() + "\nchosen: " + record.chosen() + "\nrejected: " + record.rejected();
}
std::string text_of(const sample_record& record) {
  std::string out = "prompt: " + record.prompt.text();
  for (const auto& response : record.responses) out += "\nresponse: " + response;
  return out;
}
std::string text_of(const judgement_record& record) {
  return "prompt: " + record.pair.prompt.text() + "\nresponse 1: " + record.pair.response_1 +
         "\nresponse 2: " + record.pair.response_2;
}

// Adds one record at a time.
class surveyor {
 public:
  surveyor(data_survey& out, std::size_t examples, const std::function<std::size_t(std::string_view)>& count_tokens)
      : out_(out), examples_(examples), count_tokens_(count_tokens) {}

  void add(const json& value, const jsonl_reader& at) {
    ++out_.records;
    if (value.is_object()) {
      for (const auto& [name, each] : value.items()) add_column(name, each);
    } else {
      add_column("(the record itself)", value);
    }
    prompt_record prompt;
    if (try_kind<0>(value, at, prompt)) add_prompt(prompt.text());
    sft_record sft;
    try_kind<1>(value, at, sft);
    preference_record preference;
    if (try_kind<2>(value, at, preference) && out_.readable[0] == 0) add_prompt(preference.prompt.text());
    sample_record sample;
    try_kind<3>(value, at, sample);
    judgement_record judgement;
    try_kind<4>(value, at, judgement);
  }

 private:
  void add_column(const std::string& name, const json& value) {
    auto found = std::ranges::find(out_.columns, name, &data_survey::column::name);
    if (found == out_.columns.end()) found = out_.columns.insert(found, {.name = name});
    ++found->types[type_text(value)];
  }

  // Whether the record is of the kind.
  template <std::size_t Kind, class Record>
  bool try_kind(const json& value, const jsonl_reader& at, Record& record) {
    try {
      if (!from_json(value, at, record)) return false;
    } catch (const file_error& problem) {
      if (out_.refusals[Kind].empty()) out_.refusals[Kind] = problem.what();
      return false;
    }
    ++out_.readable[Kind];
    if (out_.examples[Kind].size() < examples_) out_.examples[Kind].push_back({at.place(), text_of(record)});
    return true;
  }

  void add_prompt(const std::string& text) {
    out_.duplicates += !seen_.insert(stream_key(normalize_for_comparison(text))).second;
    ++out_.languages[cld2_language{}(text)];
    if (count_tokens_) out_.lengths.push_back(count_tokens_(text));
  }

  data_survey& out_;
  std::size_t examples_;
  const std::function<std::size_t(std::string_view)>& count_tokens_;
  std::unordered_set<std::uint64_t> seen_{};
};

}  // namespace

data_survey survey_data(const std::filesystem::path& path, std::size_t examples,
                        const std::function<std::size_t(std::string_view)>& count_tokens) {
  data_survey out;
  surveyor records(out, examples, count_tokens);
  jsonl_reader reader(path);
  for (json value;;) {
    try {
      if (!reader.next(value)) break;
    } catch (const file_error& problem) {
      ++out.bad;
      if (out.faults.size() < most_faults) out.faults.emplace_back(problem.what());
      if (!reader.recover()) break;
      continue;
    }
    records.add(value, reader);
  }
  std::ranges::sort(out.lengths);
  return out;
}

std::string data_form(const std::filesystem::path& file) {
  const unpacked_file opened(file);
  const auto beginning = opened.beginning();
  if (is_parquet(beginning)) return "Parquet";
  if (beginning.starts_with("\x1F\x8B")) return "text, packed with gzip";
  return beginning.starts_with("\x28\xB5\x2F\xFD") ? "text, packed with zstd" : "text";
}

}  // namespace coho::trainer
