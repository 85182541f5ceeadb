#include "evaluation/evaluate_preferences.hpp"

#include <iostream>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "config/column_option.hpp"
#include "config/read_options.hpp"
#include "datasets/preference_data.hpp"
#include "evaluation/preference_measures.hpp"
#include "files/data_files.hpp"
#include "models/model_files.hpp"
#include "models/reward_model_role.hpp"
#include "observe/format.hpp"
#include "observe/summary.hpp"
#include "observe/table.hpp"
#include "resources/principle_file.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "settings/model_settings.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

// A row of the main table: the measures of one file, or of all.
void add_preference_row(text_table& table, const std::string& label, std::size_t left_out,
                        const preference_measures& measured) {
  const auto& all = measured.overall();
  table.add_row({label, std::to_string(all.pairs()), std::to_string(left_out), format_number(all.accuracy(), 4),
                 format_number(all.accuracy_standard_error(), 4), std::to_string(all.ties()),
                 format_short(all.score_difference()), format_number(all.loss(), 4),
                 format_number(all.brier_score(), 4), format_number(measured.confidence().expected_error(), 4)});
}

// A table under its title; nothing if it has no rows.
void print_preference_table(const std::string& title, const text_table& table) {
  if (!table.rows().empty()) std::cout << '\n' << title << '\n' << table.text();
}

struct preferences_options {
  std::vector<fs::path> data{};
  column_choice columns{};
  fs::path reward_model{}, principles{};
  std::size_t batch = 64, limit = 0;
  reward_lengths reward_prompt = reward_lengths::of("eval");

  static void describe(auto&& visit, auto&... o) {
    visit(required({"data", "file or files of preferences"}), o.data...);
    visit(columns_option, o.columns...);
    visit(required({"reward_model", "folder of the reward model"}), o.reward_model...);
    visit({"batch", "number of pairs scored at a time", allowed::count()}, o.batch...);
    visit({"limit", "number of records used, from the start of a file; 0: all", {}, "records"}, o.limit...);
    visit({"principles", "file of principles, for records that only name theirs"}, o.principles...);
    visit({"reward_prompt", "length of what the reward model reads"}, o.reward_prompt...);
  }
  void check_constraints(const config& section) const { check_columns(section, columns, preference_columns); }
};

// `coho eval preferences`: files are opened before any is read.
class preferences_stage : public stage {
 public:
  preferences_stage(const config& options, stage_context&) {
    read_options(options.section("eval"), read_, {"reward_prompt"});
    base_ = read_model_settings(options);
    prompt_ = read_reward_prompt(options, "eval");
  }

  void check(const config&, stage_context& context) override { refuse_same_file("out", context.out, read_.data); }

  void load(const config&, stage_context& context) override {
    model_ = load_model(base_, context);
    load_role(model_, "reward", read_.reward_model);
    if (!model_.bank->at("reward").head.defined())
      throw file_error(read_.reward_model.string(), "", "holds no scalar head",
                       "give the folder of a trained reward model");
    reward_.emplace(make_reward_role(model_, "reward", prompt_));
    if (!read_.principles.empty()) collection_ = load_principles(find_principle_file(read_.principles));
    // Missing files are reported before hours are spent on the files before them.
    for (const auto& file : read_.data) readers_.emplace_back(file, read_.columns);
  }

  // Measures file after file, prints the tables and writes `out`, if given.
  void run(stage_context& context) override {
    create_parent_folder(context.out);  // before work that may take hours
    auto bar = context.start_progress("eval", read_.limit * read_.data.size(), "pairs");
    std::size_t left_out = 0;
    text_table table({"pairs of", "pairs", "left out", "accuracy", "± s.e.", "ties", "margin", "loss", "Brier",
                      "calibration error"});
    auto rows = nlohmann::ordered_json::array();
    for (auto& reader : readers_) {
      const std::string name = reader.reader().path().string();
      const preference_measures measured = measure_file(reader, bar, context);
      left_out += reader.left_out();
      add_preference_row(table, name, reader.left_out(), measured);
      nlohmann::ordered_json row{{"data", name}, {"left_out", reader.left_out()}};
      row.update(measured.to_json());
      rows.push_back(std::move(row));
    }
    bar.finish();
    log_cuts(*reward_, "eval", context);
    if (readers_.size() > 1) add_preference_row(table, "all", left_out, overall_);
    std::cout << table.text();
    print_overall();
    if (context.out.empty()) return;
    const nlohmann::ordered_json report{{"kind", "preferences"},
                                        {"reward_model", read_.reward_model.string()},
                                        {"files", rows},
                                        {"overall", overall_.to_json()}};
    summary(report).write(context.out);
  }

 private:
  // Scores the pairs of one file, which are also added to the overall measures.
  preference_measures measure_file(record_reader<preference_record>& reader, progress& bar,
                                   const stage_context& context) {
    preference_measures measured;
    std::vector<preference_record> records;
    const auto flush = [&] {
      const preference_batch loaded(std::exchange(records, {}), collection_);
      add_scores(*reward_, loaded, {&measured, &overall_});
      bar.advance(loaded.records().size());
      context.stop_if_interrupted();
    };
    for (preference_record record; (read_.limit == 0 || reader.kept() < read_.limit) && reader.next(record);) {
      try {
        principle_definitions(record, collection_);
      } catch (const argument_error& problem) {
        reader.reader().fail(problem.what());
      }
      records.push_back(std::move(record));
      if (records.size() == read_.batch) flush();
    }
    if (!records.empty()) flush();
    return measured;
  }

  // The groups, the reliability table and the scale of the scores, over all files.
  void print_overall() const {
    print_preference_table("By what the records say", overall_.groups());
    print_preference_table("Confidence σ(|difference of the scores|) and how often it is right",
                           overall_.reliability());
    const auto scores = overall_.scores();
    std::cout << "\nscores: mean " << format_short(scores.mean) << ", deviation " << format_short(scores.deviation)
              << ", from " << format_short(scores.minimum) << " to " << format_short(scores.maximum) << '\n';
  }

  preferences_options read_;
  model_settings base_;
  reward_prompt_settings prompt_;
  loaded_model model_;
  std::optional<reward_role> reward_;
  std::vector<principle> collection_;
  std::vector<record_reader<preference_record>> readers_;
  preference_measures overall_;
};

}  // namespace

option_section preferences_section() { return section_options("eval", preferences_options{}); }

void evaluate_preferences(const config& options, stage_context& context) {
  run_stage<preferences_stage>(options, context);
}

}  // namespace coho::trainer
