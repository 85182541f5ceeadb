#include "evaluation/evaluate_preferences.hpp"

#include <iostream>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

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
#include "run/output_file.hpp"
#include "run/stage.hpp"
#include "settings/model_settings.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

void add_row(text_table& table, const std::string& label, std::size_t left_out, const preference_measures& measured) {
  const auto& all = measured.overall();
  table.add_row({label, std::to_string(all.pairs()), std::to_string(left_out), format_number(all.accuracy(), 4),
                 format_number(all.accuracy_error(), 4), std::to_string(all.ties()),
                 format_short(all.score_difference()), format_number(all.loss(), 4),
                 format_number(all.brier_score(), 4), format_number(measured.confidence().expected_error(), 4)});
}

void print(const std::string& title, const text_table& table) {
  if (!table.rows().empty()) std::cout << '\n' << title << '\n' << table.text();
}

struct preferences_options {
  std::vector<fs::path> data{};
  fs::path reward_model{}, principles{};
  std::size_t batch = 64, limit = 0;
  reward_lengths reward_prompt = reward_lengths::of("eval");

  static void describe(auto&& visit, auto&... o) {
    visit(required({"data", "a preference file, or a list"}), o.data...);
    visit(required({"reward_model", "the folder of the reward model"}), o.reward_model...);
    visit({"batch", "at a time", allowed::at_least(1)}, o.batch...);
    visit({"limit", "the first records only; 0: all", {}, "records"}, o.limit...);
    visit({"principles", "texts for records that only name their principles"}, o.principles...);
    visit({"reward_prompt", "what the reward model reads"}, o.reward_prompt...);
  }
};

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
    for (const auto& file : read_.data) readers_.emplace_back(file);
  }

  void run(stage_context& context) override {
    make_folder_of(context.out);  // before work that may take hours
    auto bar = context.start_progress("eval", read_.limit * read_.data.size(), "pairs");
    std::size_t left_out = 0;
    text_table table({"pairs of", "pairs", "left out", "accuracy", "± s.e.", "ties", "margin", "loss", "Brier",
                      "calibration error"});
    auto rows = nlohmann::ordered_json::array();
    for (auto& reader : readers_) {
      const std::string name = reader.reader().path().string();
      const preference_measures measured = measure(reader, bar, context);
      left_out += reader.left_out();
      add_row(table, name, reader.left_out(), measured);
      nlohmann::ordered_json row{{"data", name}, {"left_out", reader.left_out()}};
      row.update(measured.json());
      rows.push_back(std::move(row));
    }
    bar.finish();
    say_cuts(*reward_, "eval", context);
    if (readers_.size() > 1) add_row(table, "all", left_out, overall_);
    std::cout << table.text();
    print_overall();
    if (context.out.empty()) return;
    const nlohmann::ordered_json report{{"kind", "preferences"},
                                        {"reward_model", read_.reward_model.string()},
                                        {"files", rows},
                                        {"overall", overall_.json()}};
    summary(report).write(context.out);
  }

 private:
  preference_measures measure(record_reader<preference_record>& reader, progress& bar, const stage_context& context) {
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
        principle_lines(record, collection_);
      } catch (const argument_error& problem) {
        reader.reader().fail(problem.what());
      }
      records.push_back(std::move(record));
      if (records.size() == read_.batch) flush();
    }
    if (!records.empty()) flush();
    return measured;
  }

  void print_overall() const {
    print("By what the records say", overall_.groups());
    print("Confidence σ(|difference of the scores|) and how often it is right", overall_.reliability());
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
