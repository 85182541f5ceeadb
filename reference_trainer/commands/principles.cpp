#include <array>
#include <iostream>
#include <optional>
#include <set>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "files/data_files.hpp"
#include "observe/format.hpp"
#include "observe/table.hpp"
#include "resources/principle_check.hpp"
#include "resources/principle_file.hpp"
#include "run/report_error.hpp"
#include "run/stage.hpp"
#include "tokenizer/text_tokenizer.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// A row for each shipped collection: its name and what it holds.
void print_collections() {
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(shipped_file("principles")))
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

// The texts of all principles of a file.
void print_collection(const fs::path& file) {
  std::cout << file.string() << '\n';
  for (const auto& each : load_principles(file)) {
    std::cout << '\n' << each.name << "  (weight " << format_short(each.weight) << ")\n  " << each.definition << '\n';
    if (each.can_be_negated()) std::cout << "  Negated: " << each.negative_definition << '\n';
  }
}

// Prints the table and the findings of a check. Returns whether nothing is wrong; notes are allowed.
bool print_check(const fs::path& file, const principle_check_options& options) {
  const auto report = check_principle_file(file, options);
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
  return report.is_sound();
}

enum class principles_action { list, show, check };
constexpr auto option_names(principles_action) { return std::array{"list", "show", "check"}; }

struct principles_options {
  principles_action action = principles_action::list;
  std::vector<std::string> collections{};
  principle_check_options checking{};

  static void describe(auto&& visit, auto&... o) {
    visit({"action", "what to do: list the shipped collections, show some, or check some for slips"}, o.action...);
    visit({"collections", "principle files, or names of shipped ones"}, o.collections...);
    visit({"drawn_together", "for check: number of principles that a prompt gets", allowed::at_least(1)},
          o.checking.drawn_together...);
    visit({"near_same", "for check: share of common text from which two definitions count as nearly the same",
           allowed::in_up_to(0, 1)},
          o.checking.near_same...);
  }
  // Throws config_error where collections are named for `list`, or none for the others.
  void check_constraints(const config& section) const {
    const bool list = action == principles_action::list;
    section.check(collections.empty() == list, "collections",
                  list ? "left out for list" : "one collection or several: files, or names of shipped ones");
  }
};

// The section `model` as it is read here: only the tokenizer is used.
struct token_counting_model {
  fs::path path{};

  static void describe(auto&& visit, auto&... o) {
    visit({"path", "for check: folder of a model, to count lengths in its tokens"}, o.path...);
  }
};

class principles_stage : public stage {
 public:
  principles_stage(const config& options, stage_context&)
      : read_(read_section<principles_options>(options.section("principles"))),
        model_(read_section<token_counting_model>(options.section("model")).path) {}

  void load(const config&, stage_context&) override {
    if (model_.empty()) return;
    tokenizer_ = load_tokenizer(model_);
    read_.checking.count_tokens = [this](std::string_view text) { return tokenizer_->encode(text).size(); };
  }

  void run(stage_context&) override {
    if (read_.action == principles_action::list) return print_collections();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < read_.collections.size(); ++i) {
      if (i > 0) std::cout << '\n';
      const auto file = find_principle_file(read_.collections[i]);
      if (read_.action == principles_action::show) {
        print_collection(file);
      } else if (!print_check(file, read_.checking)) {
        ++wrong;
      }
    }
    if (wrong > 0)
      throw check_failed_error(std::to_string(wrong) + " of " + std::to_string(read_.collections.size()) +
                               (read_.collections.size() == 1 ? " collection has" : " collections have") +
                               " something wrong");
  }

 private:
  principles_options read_;
  fs::path model_;
  std::shared_ptr<const text_tokenizer> tokenizer_;
};

// The one key of the section `model`; the other stages describe the whole section.
option_section token_counting_section() {
  option_section out = section_options("model", token_counting_model{});
  out.partial = true;
  return out;
}

}  // namespace

subcommand make_principles_command() {
  return {.name = "principles",
          .help = "list the shipped principle collections, show one, or check others for slips",
          .run = run_stage<principles_stage>,
          .flags = {{"action", "principles.action", "list, show or check"},
                    {.name = "collections", .key = "principles.collections", .repeatable = true},
                    {"-m,--model", "model.path"},
                    {"--drawn-together", "principles.drawn_together"}},
          .options = {token_counting_section(), section_options("principles", principles_options{})},
          .group = "Use"};
}

}  // namespace coho::trainer
