#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/error.hpp>

#include "collection/data_survey.hpp"
#include "commands/commands.hpp"
#include "config/column_option.hpp"
#include "config/read_options.hpp"
#include "datasets/preference_data.hpp"
#include "files/data_files.hpp"
#include "jsonl/bad_records.hpp"
#include "jsonl/dropped_parts.hpp"
#include "models/model_files.hpp"
#include "models/shown_examples.hpp"
#include "observe/format.hpp"
#include "observe/table.hpp"
#include "resources/principle_file.hpp"
#include "run/report_error.hpp"
#include "run/stage.hpp"
#include "settings/prompt_settings.hpp"
#include "settings/reward_prompt_settings.hpp"
#include "text/language.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// Names of the fields that any stage reads.
std::vector<std::string_view> all_columns() {
  std::vector<std::string_view> out{"scores"};
  const auto add = [&](const auto& names) { out.insert(out.end(), names.begin(), names.end()); };
  add(prompt_columns), add(sft_columns), add(sample_columns), add(preference_columns);
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

struct data_options {
  std::vector<fs::path> files{};
  column_choice columns{};
  std::size_t limit = 0, examples = 1, characters = 1000;

  static void describe(auto&& visit, auto&... o) {
    visit(required({"files", "data files and folders to look into"}), o.files...);
    visit(columns_option, o.columns...);
    visit({"limit", "number of records read, from the start of a file; 0: all", {}, "records"}, o.limit...);
    visit({"examples", "number of records shown of each kind, as its stages read them", {}, "records"}, o.examples...);
    visit({"characters", "longest text shown; of a longer one both ends are; 0: no limit", {}, "characters"},
          o.characters...);
  }
  void check_constraints(const config& section) const { check_columns(section, columns, all_columns()); }
};

// The keys of other sections that are read here: what makes an example of a record.
struct data_model {
  fs::path path{};

  static void describe(auto&& visit, auto&... o) {
    visit({"path", "for data: folder of a model or tokenizer, to count and show its tokens; none: characters"},
          o.path...);
  }
};
struct data_sft {
  sft_example_options examples{};
  prompt_limit<true> limit{};

  static void describe(auto&& visit, auto&... o) {
    sft_example_options::describe(visit, o.examples...);
    prompt_limit<true>::describe(visit, o.limit...);
  }
};
struct data_reward {
  preference_files files{};
  reward_lengths lengths = reward_lengths::of("reward");

  static void describe(auto&& visit, auto&... o) {
    preference_files::describe(only({"principles"}, visit), o.files...);
    visit({"reward_prompt", "length of what the reward model reads"}, o.lengths...);
  }
};

struct data_settings {
  data_options read{};
  fs::path model{}, principles{};
  shown_example_options shown{};
};

data_settings read_data_settings(const config& options) {
  data_settings out{.read = read_section<data_options>(options.section("data")),
                    .model = read_section<data_model>(options.section("model")).path};
  data_sft sft;
  read_options(options.section("sft"), sft, {"max_prompt_tokens"});
  data_reward reward;
  read_options(options.section("reward"), reward, {"reward_prompt"});
  out.principles = reward.files.principles;
  out.shown = {.sft = sft.examples,
               .forms = read_sft_prompts(options, sft.examples.templates),
               .reward = read_reward_prompt(options, "reward"),
               .characters = out.read.characters};
  return out;
}

std::string count_text(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void print_columns(const data_survey& survey) {
  text_table table({"column", "type", "missing in", "first value"});
  for (const auto& column : survey.columns) {
    std::string types;
    std::size_t present = 0;
    for (const auto& [type, count] : column.types) {
      types += (types.empty() ? "" : ", ") + type;
      if (column.types.size() > 1) types += " (" + std::to_string(count) + ")";
      present += count;
    }
    const auto missing = survey.records - std::min(present, survey.records);
    table.add_row({column.name, types.empty() ? "null" : types, missing == 0 ? "" : std::to_string(missing),
                   std::string(first_columns(column.first, 48)) + (display_width(column.first) > 48 ? "…" : "")});
  }
  std::cout << '\n' << table.text();
}

void print_kinds(const data_survey& survey) {
  text_table table({"read as", "by", "records", "left out"});
  survey.for_each_kind([&](const char* name, const char* stages, const auto& kind) {
    table.add_row({name, stages, std::to_string(kind.readable), std::to_string(kind.left_out)});
  });
  std::cout << '\n' << table.text();
  const bool none = !survey.is_readable();
  survey.for_each_kind([&](const char* name, const char*, const auto& kind) {
    // Of a file that no stage reads, the reasons of the most common kinds.
    const bool common = std::string_view(name) == "conversations" || std::string_view(name) == "preferences";
    if (!kind.refusal.empty() && (kind.readable + kind.left_out > 0 || (none && common)))
      std::cout << "not " << name << ": " << kind.refusal << '\n';
  });
  if (none)
    std::cout << "no stage reads these records as they are: choose columns, such as "
                 "--set 'data.columns={prompt=\"question\", response=\"answer\"}'\n";
}

// The most frequent first.
std::vector<std::pair<std::string, std::size_t>> by_count(const std::map<std::string, std::size_t>& counts) {
  std::vector<std::pair<std::string, std::size_t>> out(counts.begin(), counts.end());
  std::ranges::stable_sort(out, std::ranges::greater(), &std::pair<std::string, std::size_t>::second);
  return out;
}

// "en 7200, de 31, … 3 more".
std::string languages_text(const std::map<std::string, std::size_t>& counts) {
  constexpr std::size_t most = 12;
  std::string out;
  std::size_t shown = 0;
  for (const auto& [language, count] : by_count(counts)) {
    if (++shown > most) return out + ", … " + std::to_string(counts.size() - most) + " more";
    out += (out.empty() ? "" : ", ") + (language == cld2_language::unknown ? "not recognised" : language) + " " +
           std::to_string(count);
  }
  return out;
}

void print_texts(const data_survey& survey, const std::string& unit) {
  if (!survey.lengths.empty()) {
    text_table table({unit + " of", "texts", "shortest", "median", "95 of 100 up to", "longest"});
    for (const char* name : data_survey::text_names) {
      const auto found = survey.lengths.find(name);
      if (found == survey.lengths.end()) continue;
      const auto& lengths = found->second;
      std::vector<std::string> row{name, std::to_string(lengths.size())};
      for (const std::uint64_t percent : {0, 50, 95, 100}) row.push_back(std::to_string(lengths.quantile(percent)));
      table.add_row(std::move(row));
    }
    std::cout << '\n' << table.text() << '\n';
  }
  if (!survey.stated.empty()) std::cout << "languages that records state: " << languages_text(survey.stated) << '\n';
  if (!survey.languages.empty())
    std::cout << "languages of prompts, as recognised: " << languages_text(survey.languages) << '\n';
  std::cout << "records equal to an earlier one: " << survey.equal_records
            << "; prompts that repeat an earlier one: " << survey.repeated_prompts << '\n';
  for (const auto& [what, count] : survey.dropped)
    std::cout << "note: " << count_text(count, "record") << ": " << what << '\n';
}

void print_examples(const data_survey& survey, const shown_examples& show) {
  survey.for_each_kind([&](const char* name, const char* stages, const auto& kind) {
    for (const auto& example : kind.examples)
      std::cout << '\n' << example.place << " as " << name << " (" << stages << "):\n" << show(example.record);
  });
}

class data_stage : public stage {
 public:
  data_stage(const config& options, stage_context&) : settings_(read_data_settings(options)) {}

  void load(const config&, stage_context&) override {
    if (!settings_.principles.empty())
      settings_.shown.principles = load_principles(find_principle_file(settings_.principles));
    if (!settings_.model.empty()) model_ = load_model_tokens(settings_.model);
    show_.emplace(settings_.shown, model_ ? &*model_ : nullptr);
    // A missing file is reported before the others are read.
    for (const auto& path : settings_.read.files) jsonl_reader(path, {}, settings_.read.columns);
  }

  void run(stage_context& context) override {
    std::size_t bad = 0;
    for (std::size_t i = 0; i < settings_.read.files.size(); ++i) {
      if (i > 0) std::cout << '\n';
      bad += print_file(settings_.read.files[i], context);
    }
    if (bad > 0 && !bad_records::setting().is_skipping())
      throw check_failed_error(count_text(bad, "record") + " cannot be read; --skip-bad leaves them out of a stage");
  }

 private:
  // Returns how many records are bad.
  std::size_t print_file(const fs::path& path, stage_context& context) const {
    auto bar = context.start_progress("data", settings_.read.limit, "records");
    const auto survey =
        survey_data(path, {.columns = settings_.read.columns,
                           .limit = settings_.read.limit,
                           .examples = settings_.read.examples,
                           .length =
                               [&](std::string_view text) {
                                 return model_ ? model_->tokenizer->encode(text).size() : count_utf8_characters(text);
                               },
                           .tick =
                               [&] {
                                 context.stop_if_interrupted();
                                 bar.advance();
                               }});
    bar.finish();
    std::cout << path.string() << ": " << count_text(survey.records, "record") << ", " << survey.bad << " bad\n";
    for (const auto& file : list_data_files(path))
      std::cout << "  " << file.string() << ": " << data_form(file) << '\n';
    for (const auto& fault : survey.faults) std::cout << "bad: " << fault << '\n';
    print_columns(survey);
    print_kinds(survey);
    print_texts(survey, model_ ? "tokens" : "characters");
    print_examples(survey, *show_);
    // Laying out examples may have counted parts that are not used, which the survey has counted already.
    dropped_parts::of_run().clear();
    return survey.bad;
  }

  data_settings settings_;
  std::optional<loaded_model> model_;
  std::optional<shown_examples> show_;
};

option_section partial_section(option_section section) {
  section.partial = true;
  return section;
}

}  // namespace

subcommand make_data_command() {
  return {
      .name = "data",
      .help = "say what data files hold: columns, languages, lengths, duplicates, and what each stage reads of them",
      .run = run_stage<data_stage>,
      .flags = {{.name = "files", .key = "data.files", .repeatable = true},
                {"-m,--model", "model.path"},
                {"--examples", "data.examples"},
                {"--limit", "data.limit"}},
      .options = {section_options("data", data_options{}), partial_section(section_options("model", data_model{})),
                  section_options("prompt", prompt_options{}), partial_section(section_options("sft", data_sft{})),
                  partial_section(section_options("reward", data_reward{})),
                  section_options("reward_prompt", reward_prompt_options{})},
      .group = "Use"};
}

}  // namespace coho::trainer
