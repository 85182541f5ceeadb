#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <coho/error.hpp>

#include "collection/data_survey.hpp"
#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "files/data_files.hpp"
#include "observe/table.hpp"
#include "run/report_error.hpp"
#include "run/stage.hpp"
#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

struct data_options {
  std::vector<fs::path> files{};
  std::size_t examples = 1;

  static void describe(auto&& visit, auto&... o) {
    visit(required({"files", "data files and folders to look into"}), o.files...);
    visit({"examples", "number of records shown of each kind, as its stages read them", {}, "records"}, o.examples...);
  }
};

// The section `model` as it is read here: only the tokenizer is used.
struct data_model {
  fs::path path{};

  static void describe(auto&& visit, auto&... o) {
    visit({"path", "folder of a model, to count lengths in its tokens"}, o.path...);
  }
};

std::string count_text(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void print_columns(const data_survey& survey) {
  text_table table({"column", "types (records)", "missing in"});
  for (const auto& column : survey.columns) {
    std::string types;
    std::size_t present = 0;
    for (const auto& [type, count] : column.types) {
      types += (types.empty() ? "" : ", ") + type + " (" + std::to_string(count) + ")";
      present += count;
    }
    table.add_row({column.name, types, std::to_string(survey.records - present)});
  }
  std::cout << '\n' << table.text();
}

void print_kinds(const data_survey& survey) {
  text_table table({"read as", "by", "records"});
  for (std::size_t i = 0; i < survey.kinds.size(); ++i)
    table.add_row({std::string(survey.kinds[i].first), std::string(survey.kinds[i].second),
                   std::to_string(survey.readable[i]) + " of " + std::to_string(survey.records)});
  std::cout << '\n' << table.text();
  for (std::size_t i = 0; i < survey.kinds.size(); ++i)
    if (survey.readable[i] > 0 && !survey.refusals[i].empty())
      std::cout << "not " << survey.kinds[i].first << ": " << survey.refusals[i] << '\n';
}

void print_prompts(const data_survey& survey) {
  if (survey.languages.empty()) return;
  text_table table({"language", "prompts"});
  for (const auto& [language, count] : survey.languages) table.add_row({language, std::to_string(count)});
  std::cout << '\n' << table.text();
  std::cout << "prompts that are there before: " << survey.duplicates << '\n';
  if (survey.lengths.empty()) return;
  const auto at = [&](std::size_t percent) {
    return std::to_string(survey.lengths[(survey.lengths.size() - 1) * percent / 100]);
  };
  std::cout << "tokens of a prompt: shortest " << at(0) << ", median " << at(50) << ", 95 of 100 up to " << at(95)
            << ", longest " << at(100) << '\n';
}

void print_examples(const data_survey& survey) {
  for (std::size_t i = 0; i < survey.kinds.size(); ++i)
    for (const auto& example : survey.examples[i])
      std::cout << '\n' << example.place << ", as " << survey.kinds[i].first << ":\n" << example.text << '\n';
}

class data_stage : public stage {
 public:
  data_stage(const config& options, stage_context&)
      : read_(read_section<data_options>(options.section("data"))),
        model_(read_section<data_model>(options.section("model")).path) {}

  void load(const config&, stage_context&) override {
    if (!model_.empty()) tokenizer_ = load_tokenizer(model_);
  }

  void run(stage_context& context) override {
    std::size_t bad = 0;
    for (std::size_t i = 0; i < read_.files.size(); ++i) {
      context.stop_if_interrupted();
      if (i > 0) std::cout << '\n';
      bad += print_file(read_.files[i]);
    }
    if (bad > 0)
      throw check_failed_error(count_text(bad, "record") + " cannot be read; --skip-bad leaves them out of a stage");
  }

 private:
  // Returns how many records are bad.
  std::size_t print_file(const fs::path& path) const {
    std::function<std::size_t(std::string_view)> count_tokens;
    if (tokenizer_) count_tokens = [this](std::string_view text) { return tokenizer_->encode(text).size(); };
    const auto files = list_data_files(path);
    const auto survey = survey_data(path, read_.examples, count_tokens);
    std::cout << path.string() << ": " << count_text(survey.records, "record") << ", "
              << count_text(survey.bad, "bad record") << '\n';
    for (const auto& file : files) std::cout << "  " << file.string() << ": " << data_form(file) << '\n';
    for (const auto& fault : survey.faults) std::cout << "bad: " << fault << '\n';
    print_columns(survey);
    print_kinds(survey);
    print_prompts(survey);
    print_examples(survey);
    return survey.bad;
  }

  data_options read_;
  fs::path model_;
  std::shared_ptr<const text_tokenizer> tokenizer_;
};

// The one key of the section `model`; the other stages describe the whole section.
option_section data_model_section() {
  option_section out = section_options("model", data_model{});
  out.partial = true;
  return out;
}

}  // namespace

subcommand make_data_command() {
  return {.name = "data",
          .help = "say what data files hold: columns, languages, lengths, and what each stage reads from them",
          .run = run_stage<data_stage>,
          .flags = {{.name = "files", .key = "data.files", .repeatable = true},
                    {"-m,--model", "model.path"},
                    {"--examples", "data.examples"}},
          .options = {data_model_section(), section_options("data", data_options{})},
          .group = "Use"};
}

}  // namespace coho::trainer
