#include "evaluation/evaluate_preferences.hpp"

#include <iostream>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "datasets/preference_data.hpp"
#include "evaluation/preference_measures.hpp"
#include "files/data_files.hpp"
#include "models/model_files.hpp"
#include "models/reward_model_role.hpp"
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

class preferences_stage : public stage {
 public:
  preferences_stage(const config& options, stage_context&)
      : files_(options.require_paths("eval.data", "a preference file, or a list")),
        path_(options.require<fs::path>("eval.reward_model", "the folder of the reward model")),
        batch_(options.get<std::size_t>("eval.batch", 64)),
        limit_(options.get<std::size_t>("eval.limit", 0)),
        principles_(options.get<fs::path>("eval.principles", {})) {
    options.check(batch_ > 0, "eval.batch", "at least 1");
    base_ = read_model_settings(options);
    prompt_ = read_reward_prompt(options, "eval");
  }

  void check(const config&, stage_context& context) override { refuse_same_file("out", context.out, files_); }

  void load(const config& options, stage_context& context) override {
    model_ = load_model(base_, read_device(options), context.seed);
    load_role(model_, "reward", path_);
    if (!model_.bank->at("reward").head.defined())
      throw file_error(path_.string(), "", "holds no scalar head", "give the folder of a trained reward model");
    reward_.emplace(make_reward_role(model_, "reward", prompt_));
    if (!principles_.empty()) collection_ = load_principles(principle_file(principles_));
    // Missing files are reported before hours are spent on the files before them.
    for (const auto& file : files_) readers_.emplace_back(file);
  }

  void run(stage_context& context) override {
    make_folder_of(context.out);  // before work that may take hours
    auto bar = context.start_progress("eval", limit_ * files_.size(), "pairs");
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
    const nlohmann::ordered_json report{
        {"kind", "preferences"}, {"reward_model", path_.string()}, {"files", rows}, {"overall", overall_.json()}};
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
    for (preference_record record; (limit_ == 0 || reader.kept() < limit_) && reader.next(record);) {
      try {
        principle_lines(record, collection_);
      } catch (const argument_error& problem) {
        reader.reader().fail(problem.what());
      }
      records.push_back(std::move(record));
      if (records.size() == batch_) flush();
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

  std::vector<fs::path> files_;
  fs::path path_;
  std::size_t batch_, limit_;
  fs::path principles_;
  model_settings base_;
  reward_prompt_settings prompt_;
  loaded_model model_;
  std::optional<reward_role> reward_;
  std::vector<principle> collection_;
  std::vector<record_reader<preference_record>> readers_;
  preference_measures overall_;
};

}  // namespace

void evaluate_preferences(const config& options, stage_context& context) {
  run_stage<preferences_stage>(options, context);
}

}  // namespace coho::trainer
