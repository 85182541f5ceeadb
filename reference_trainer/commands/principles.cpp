#include <iostream>
#include <optional>
#include <set>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "files/data_files.hpp"
#include "observe/table.hpp"
#include "resources/principle_check.hpp"
#include "resources/principle_file.hpp"
#include "run/report_error.hpp"
#include "run/stage.hpp"
#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

void list_collections() {
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(shipped("principles")))
    if (entry.path().extension() == ".json") files.insert(entry.path());
  text_table table({"name", "principles", "negations", "weights"});
  for (const auto& file : files) {
    const auto list = load_principles(file);
    std::size_t negations = 0;
    bool even = true;
    for (const auto& each : list) {
      negations += each.can_be_negated();
      even = even && each.weight == list.front().weight;
    }
    table.add_row(
        {file.stem().string(), std::to_string(list.size()), std::to_string(negations), even ? "even" : "own"});
  }
  std::cout << table.text();
}

void show_collection(const fs::path& file) {
  std::cout << file.string() << '\n';
  for (const auto& each : load_principles(file)) {
    std::cout << '\n' << each.name << "  (weight " << format_short(each.weight) << ")\n  " << each.definition << '\n';
    if (each.can_be_negated()) std::cout << "  Negated: " << each.negative_definition << '\n';
  }
}

// Whether the collection passed.
bool print_check(const fs::path& file, const principle_check_options& options) {
  const auto report = check_collection(file, options);
  std::vector<std::string> columns{"principle", "weight", "drawn", "negation", "words", "characters"};
  if (options.count_tokens) columns.emplace_back("tokens");
  text_table table(columns);
  for (const auto& entry : report.entries) {
    std::vector<std::string> row{entry.name,
                                 format_short(entry.weight),
                                 format_number(100 * entry.drawn, 1) + "%",
                                 entry.negative_definition.empty() ? "no" : "yes",
                                 std::to_string(entry.words),
                                 std::to_string(entry.characters)};
    if (options.count_tokens) row.push_back(std::to_string(entry.tokens));
    table.add_row(std::move(row));
  }
  std::cout << file.string() << ": " << report.entries.size() << " principles; drawn: among the "
            << options.drawn_together << " of a prompt\n"
            << table.text();
  for (const auto& finding : report.findings)
    std::cout << (finding.wrong ? "wrong: " : "note: ") << finding.place << (finding.place.empty() ? "" : ": ")
              << finding.text << '\n';
  if (report.findings.empty()) std::cout << "nothing to say against it\n";
  return report.sound();
}

class principles_stage : public stage {
 public:
  principles_stage(const config& options, stage_context&)
      : action_(options.choice("principles.action", "list", {"list", "show", "check"})),
        names_(options.get<std::vector<std::string>>("principles.collections", {})) {
    options.check(
        action_ == "list" ? names_.empty() : !names_.empty(), "principles.collections",
        action_ == "list" ? "left out for list" : "one collection or several: files, or names of shipped ones");
    const principle_check_options defaults;
    checking_.drawn_together = options.get<std::size_t>("principles.drawn_together", defaults.drawn_together);
    checking_.near_same = options.get<double>("principles.near_same", defaults.near_same);
    options.check(checking_.drawn_together >= 1, "principles.drawn_together", "at least 1");
    options.check(checking_.near_same > 0 && checking_.near_same <= 1, "principles.near_same", "above 0 and at most 1");
    model_ = options.get<fs::path>("model.path", {});
  }

  void load(const config&, stage_context&) override {
    if (model_.empty()) return;
    tokenizer_ = load_tokenizer(model_);
    checking_.count_tokens = [this](std::string_view text) { return tokenizer_->encode(text).size(); };
  }

  void run(stage_context&) override {
    if (action_ == "list") return list_collections();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (i > 0) std::cout << '\n';
      const auto file = principle_file(names_[i]);
      if (action_ == "show") {
        show_collection(file);
      } else if (!print_check(file, checking_)) {
        ++wrong;
      }
    }
    if (wrong > 0)
      throw check_failed_error(std::to_string(wrong) + " of " + std::to_string(names_.size()) +
                               (names_.size() == 1 ? " collection has" : " collections have") + " something wrong");
  }

 private:
  std::string action_;
  std::vector<std::string> names_;
  principle_check_options checking_;
  fs::path model_;
  std::shared_ptr<const text_tokenizer> tokenizer_;
};

}  // namespace

subcommand make_principles_command() {
  return {.name = "principles",
          .help = "list the shipped principle collections, show one, or check others for slips",
          .run = run_stage<principles_stage>,
          .flags = {{"action", "principles.action", "list, show or check"},
                    {.name = "collections",
                     .key = "principles.collections",
                     .help = "principle files, or names of shipped ones",
                     .repeatable = true},
                    {"-m,--model", "model.path", "check: folder of a model, for lengths in its tokens"},
                    {"--drawn-together", "principles.drawn_together", "check: principles that a prompt gets"}},
          .sections = {"model", "principles"},
          .group = "Use"};
}

}  // namespace coho::trainer
