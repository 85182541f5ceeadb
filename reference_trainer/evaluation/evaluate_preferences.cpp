#include "evaluation/evaluate_preferences.hpp"

#include <iostream>
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
#include "settings/model_settings.hpp"
#include "settings/reward_prompt_settings.hpp"

namespace coho::trainer {
namespace {

namespace fs = std::filesystem;

void add_row(text_table& table, const std::string& label, std::size_t left_out, const preference_measures& measured) {
  const auto& all = measured.overall();
  table.add_row({label, std::to_string(all.pairs()), std::to_string(left_out), format_number(all.accuracy(), 4),
                 format_number(all.accuracy_error(), 4), std::to_string(all.ties()), format_short(all.margin()),
                 format_number(all.loss(), 4), format_number(all.brier_score(), 4),
                 format_number(measured.confidence().expected_error(), 4)});
}

void print(const std::string& title, const text_table& table) {
  if (!table.rows().empty()) std::cout << '\n' << title << '\n' << table.text();
}

}  // namespace

void evaluate_preferences(const config& options, stage_context& context) {
  const auto files = options.require_paths("eval.data", "a preference file, or a list");
  options.check(!files.empty(), "eval.data", "a file or several");
  const auto path = options.require<fs::path>("eval.reward_model", "the folder of the reward model");
  const auto batch = options.get<std::size_t>("eval.batch", 64);
  options.check(batch > 0, "eval.batch", "at least 1");
  const auto limit = options.get<std::size_t>("eval.limit", 0);
  const auto principles = options.get<fs::path>("eval.principles", {});
  refuse_same_file("out", context.out, files);
  read_model_settings(options);
  if (context.dry_run) {
    read_reward_prompt(options, "eval");
    return context.rehearse(options);
  }
  loaded_model model = load_model(options);
  load_role(model, "reward", path);
  if (!model.bank->at("reward").head.defined())
    throw file_error(path.string(), "", "holds no scalar head", "give the folder of a trained reward model");
  reward_role reward = make_reward_role(model, "reward", options, "eval");
  const auto collection = principles.empty() ? std::vector<principle>{} : load_principles(principle_file(principles));
  // What is missing comes to light before hours have gone into the files in front of it.
  std::vector<record_reader<preference_record>> readers;
  for (const auto& file : files) readers.emplace_back(file);
  if (!context.begin(options)) return;

  auto bar = context.start_progress("eval", limit * files.size(), "pairs");
  preference_measures overall;
  std::size_t left_out = 0;
  text_table table(
      {"pairs of", "pairs", "left out", "accuracy", "± s.e.", "ties", "margin", "loss", "Brier", "calibration error"});
  auto rows = nlohmann::ordered_json::array();
  for (auto& reader : readers) {
    const std::string name = reader.reader().path().string();
    preference_measures measured;
    std::vector<preference_record> records;
    const auto flush = [&] {
      const preference_batch loaded(std::exchange(records, {}), collection);
      add_scores(reward, loaded, {&measured, &overall});
      bar.advance(loaded.records().size());
      context.stop_if_interrupted();
    };
    for (preference_record record; (limit == 0 || reader.kept() < limit) && reader.next(record);) {
      try {
        principle_lines(record, collection);
      } catch (const argument_error& problem) {
        reader.reader().fail(problem.what());
      }
      records.push_back(std::move(record));
      if (records.size() == batch) flush();
    }
    if (!records.empty()) flush();
    left_out += reader.left_out();
    add_row(table, name, reader.left_out(), measured);
    nlohmann::ordered_json row{{"data", name}, {"left_out", reader.left_out()}};
    row.update(measured.json());
    rows.push_back(std::move(row));
  }
  bar.finish();
  say_cuts(reward, "eval", context);
  if (readers.size() > 1) add_row(table, "all", left_out, overall);

  std::cout << table.text();
  print("By what the records say", overall.groups());
  print("Confidence σ(|difference of the scores|) and how often it is right", overall.reliability());
  const auto scores = overall.scores();
  std::cout << "\nscores: mean " << format_short(scores.mean) << ", deviation " << format_short(scores.deviation)
            << ", from " << format_short(scores.minimum) << " to " << format_short(scores.maximum) << '\n';
  if (context.out.empty()) return;
  const nlohmann::ordered_json report{
      {"kind", "preferences"}, {"reward_model", path.string()}, {"files", rows}, {"overall", overall.json()}};
  summary(report).write(context.out);
}

}  // namespace coho::trainer
