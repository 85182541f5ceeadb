#include "collection/data_survey.hpp"

#include <algorithm>
#include <type_traits>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/rng.hpp>

#include "collection/hash_set.hpp"
#include "jsonl/dropped_parts.hpp"
#include "jsonl/parquet_rows.hpp"
#include "jsonl/unpacked_file.hpp"
#include "records/empty_texts.hpp"
#include "text/language.hpp"
#include "unicode/unicode_text.hpp"

namespace coho::trainer {
namespace {

constexpr std::size_t most_faults = 5, most_names = 6, most_first_bytes = 200;
constexpr std::size_t records_between_drains = 1000;

// "{role, content}" of an object.
std::string names_of(const json& object) {
  std::string out;
  std::size_t count = 0;
  for (const auto& [name, ignored] : object.items()) {
    if (++count > most_names) return "{" + out + ", …}";
    out += (out.empty() ? "" : ", ") + name;
  }
  return "{" + out + "}";
}

// "list of {role, content}" for a column of messages.
std::string type_text(const json& value) {
  if (value.is_string()) return "text";
  if (value.is_object()) return names_of(value);
  if (value.is_array()) return value.empty() ? "empty list" : "list of " + type_text(value.front());
  return value.is_number_float() ? "number" : value.is_number() ? "whole number" : std::string(value.type_name());
}

// Adds to the count of a name, or to that of `others` where there are too many.
void count(std::map<std::string, std::size_t>& counts, const std::string& name, std::size_t most) {
  const bool known = counts.size() < most || counts.contains(name);
  ++counts[known ? name : data_survey::others];
}

bool read_as(const json& value, const jsonl_reader& at, source_prompt& record) {
  record = read_source_prompt(value, at);
  return !record.removed;
}
template <class Record>
bool read_as(const json& value, const jsonl_reader& at, Record& record) {
  if (!from_json(value, at, record)) return false;
  refuse_empty_texts(record, at);
  return true;
}

// Adds one record at a time.
class surveyor {
 public:
  surveyor(data_survey& out, const data_survey_options& options) : out_(out), options_(options) {}

  void add(const json& value, const jsonl_reader& at) {
    ++out_.records;
    if (value.is_object()) {
      for (const auto& [name, each] : value.items()) add_column(name, each);
      if (const auto language = value.find("language"); language != value.end() && language->is_string())
        count(out_.stated, language->get<std::string>(), data_survey::most_languages);
    } else {
      add_column("(the record itself)", value);
    }
    out_.equal_records += !records_.insert(stream_key(value.dump(-1, ' ', false, json::error_handler_t::replace)));
    counted_ = false;
    // The fullest kind that a record is of gives its texts.
    add_kind(out_.judgements, value, at, [&](const judgement_record& read) {
      add_prompt(read.pair.prompt);
      add_text("response", read.pair.response_1);
      add_text("response", read.pair.response_2);
    });
    add_kind(out_.samples, value, at, [&](const sample_record& read) {
      add_prompt(read.prompt);
      for (const auto& response : read.responses) add_text("response", response);
    });
    add_kind(out_.preferences, value, at, [&](const preference_record& read) {
      add_prompt(read.prompt);
      add_text("chosen", read.chosen());
      add_text("rejected", read.rejected());
    });
    add_kind(out_.conversations, value, at, [&](const sft_record& read) {
      add_prompt(read.prompt);
      add_text("reply", read.response);
    });
    add_kind(out_.prompts, value, at, [&](const prompt_record& read) { add_prompt(read); });
    add_kind(out_.sources, value, at, [&](const source_prompt& read) { add_prompt(read.prompt); });
    if (out_.records % records_between_drains == 0) drain();
  }

  // The notes of reading hold a hash per record: their counts are enough here.
  void drain() {
    for (const auto& [what, number] : dropped_parts::of_run().drain_counts()) out_.dropped[what] += number;
  }

 private:
  void add_column(const std::string& name, const json& value) {
    auto& all = out_.columns;
    const bool full = all.size() >= data_survey::most_columns;
    auto found = std::ranges::find(all, name, &data_survey::column::name);
    if (found == all.end() && full) found = std::ranges::find(all, data_survey::others, &data_survey::column::name);
    if (found == all.end()) found = all.insert(found, {.name = full ? data_survey::others : name});
    if (value.is_null()) return;
    count(found->types, type_text(value), data_survey::most_types);
    if (found->first.empty())
      found->first = value.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, most_first_bytes);
  }

  // Whether the record is of the kind; the first kind counts its texts.
  template <class Record, class Count>
  void add_kind(kind_survey<Record>& kind, const json& value, const jsonl_reader& at, const Count& count_texts) {
    Record record{};
    try {
      if (!read_as(value, at, record)) {
        ++kind.left_out;
        return;
      }
    } catch (const file_error& problem) {
      if (kind.refusal.empty()) kind.refusal = problem.what();
      return;
    }
    ++kind.readable;
    if (!counted_) count_texts(record);
    counted_ = true;
    if (kind.examples.size() < options_.examples) kind.examples.push_back({at.place(), std::move(record)});
  }

  void add_prompt(const prompt_record& prompt) {
    const auto text = prompt.text();
    out_.repeated_prompts += !prompts_.insert(stream_key(normalize_for_comparison(text)));
    count(out_.languages, cld2_language{}(text), data_survey::most_languages);
    add_text("prompt", text);
  }
  void add_text(const char* what, const std::string& text) {
    if (options_.length) out_.lengths[what].add(options_.length(text));
  }

  data_survey& out_;
  const data_survey_options& options_;
  hash_set records_, prompts_;
  bool counted_ = false;  ///< the texts of the current record
};

}  // namespace

bool data_survey::is_readable() const {
  std::size_t all = 0;
  for_each_kind([&](const char*, const char*, const auto& kind) { all += kind.readable + kind.left_out; });
  return all > 0;
}

data_survey survey_data(const std::filesystem::path& path, const data_survey_options& options) {
  data_survey out;
  surveyor records(out, options);
  jsonl_reader reader(path, {}, options.columns);
  for (json value; options.limit == 0 || out.records + out.bad < options.limit;) {
    try {
      if (!reader.next(value)) break;
    } catch (const file_error& problem) {
      const bool goes_on = reader.recover();
      if (out.records + out.bad == 0 && (!options.columns.empty() || !goes_on)) throw;
      ++out.bad;
      if (out.faults.size() < most_faults) out.faults.emplace_back(problem.what());
      if (!goes_on) break;
      continue;
    }
    records.add(value, reader);
    if (options.tick) options.tick();
  }
  records.drain();
  return out;
}

std::string data_form(const std::filesystem::path& file) {
  const unpacked_file opened(file);
  const auto beginning = opened.beginning();
  if (is_parquet(beginning)) return "Parquet";
  if (beginning.starts_with("\x1F\x8B")) return "JSON, packed with gzip";
  if (beginning.starts_with("\x28\xB5\x2F\xFD")) return "JSON, packed with zstd";
  const auto first = beginning.find_first_not_of("\xEF\xBB\xBF \t\r\n");
  return first != std::string_view::npos && beginning[first] == '[' ? "JSON, one list" : "JSON Lines";
}

}  // namespace coho::trainer
