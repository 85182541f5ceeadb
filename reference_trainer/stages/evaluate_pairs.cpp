#include "stages/evaluate_pairs.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "data/principle_file.hpp"
#include "files/json_file.hpp"
#include "observe/table.hpp"
#include "stages/model_files.hpp"
#include "stages/model_settings.hpp"
#include "stages/reward_prompts.hpp"

namespace coho::trainer {
namespace {

struct score_lists {
  std::vector<double> preferred, other;
};

void score(reward_role& model, std::span<const preference_record> records, std::span<const principle> collection,
           score_lists& guided, score_lists& plain) {
  std::vector<std::vector<std::string>> lines;
  std::vector<std::string> questions;
  for (const auto& record : records) {
    lines.push_back(principle_lines(record, collection));
    questions.push_back(record.prompt.text());
  }
  std::vector<reward_query> queries;
  for (std::size_t i = 0; i < records.size(); ++i) {
    for (const auto* response : {&records[i].chosen(), &records[i].rejected()})
      queries.push_back({.prompt = questions[i], .response = *response, .principles = lines[i]});
  }
  const auto scores = model.score(queries);
  for (std::size_t i = 0; i < records.size(); ++i) {
    auto& list = lines[i].empty() ? plain : guided;
    list.preferred.push_back(scores[2 * i]);
    list.other.push_back(scores[2 * i + 1]);
  }
}

nlohmann::json report(const pair_accuracy& measured) {
  return {{"pairs", measured.pairs},
          {"right", measured.right},
          {"ties", measured.ties},
          {"accuracy", measured.accuracy},
          {"standard_error", measured.standard_error},
          {"margin", measured.margin},
          {"loss", measured.loss}};
}

}  // namespace

pair_accuracy measure_pairs(std::span<const double> preferred, std::span<const double> other) {
  require_argument(preferred.size() == other.size() && !preferred.empty(),
                   "pair accuracy: two lists of the same length are needed, not empty");
  pair_accuracy out{.pairs = preferred.size()};
  for (std::size_t i = 0; i < preferred.size(); ++i) {
    const double margin = preferred[i] - other[i];
    require_argument(std::isfinite(margin),
                     "pair accuracy: the scores of pair " + std::to_string(i) + " are not finite");
    if (margin > 0) ++out.right;
    if (margin == 0) ++out.ties;
    out.margin += margin;
    out.loss += std::max(0.0, -margin) + std::log1p(std::exp(-std::abs(margin)));
  }
  const auto n = static_cast<double>(out.pairs);
  out.accuracy = (static_cast<double>(out.right) + 0.5 * static_cast<double>(out.ties)) / n;
  out.standard_error = std::sqrt(out.accuracy * (1.0 - out.accuracy) / n);
  out.margin /= n;
  out.loss /= n;
  return out;
}

std::vector<std::string> principle_lines(const preference_record& record, std::span<const principle> collection) {
  std::vector<std::string> out;
  for (const auto& chosen : record.principles) {
    if (!chosen.text.empty()) {
      out.push_back(chosen.text);
      continue;
    }
    const auto found = std::ranges::find(collection, chosen.name, &principle::name);
    require_argument(found != collection.end(),
                     "the record names the principle \"" + chosen.name +
                         "\" without its text: give the file that defines it as eval.principles");
    require_argument(!chosen.negated || found->can_be_negated(),
                     "the principle \"" + chosen.name + "\" has no negative definition");
    out.push_back(chosen.negated ? found->negative_definition : found->definition);
  }
  return out;
}

void evaluate_pairs(const config& options, stage_context& context) {
  const auto data = options.require<std::filesystem::path>("eval.data", "the preference file");
  const auto path = options.require<std::filesystem::path>("eval.reward_model", "the folder of the reward model");
  const auto batch = options.get<std::size_t>("eval.batch", 64);
  options.check(batch > 0, "eval.batch", "at least 1");
  const auto limit = options.get<std::size_t>("eval.limit", 0);
  const auto names = options.get<std::string>("eval.principles", "");
  read_model_settings(options);
  if (context.dry_run) {
    read_reward_prompt(options);
    return context.rehearse(options);
  }
  loaded_model model = load_model(options);
  load_role(model, "reward", path);
  if (!model.bank->at("reward").head.defined())
    throw file_error(path.string(), "", "holds no scalar head", "give the folder of a trained reward model");
  reward_role reward = make_reward_role(model, "reward", options);
  const auto collection = names.empty() ? std::vector<principle>{} : load_principles(names);
  if (!context.begin(options)) return;

  record_reader<preference_record> reader(data);
  auto bar = context.start_progress("eval", limit, "pairs");
  score_lists guided, plain;
  std::vector<preference_record> records;
  std::size_t read = 0;
  const auto flush = [&] {
    score(reward, records, collection, guided, plain);
    bar.advance(records.size());
    records.clear();
    context.stop_if_interrupted();
  };
  for (preference_record record; (limit == 0 || read < limit) && reader.next(record); ++read) {
    records.push_back(record);
    if (records.size() == batch) flush();
  }
  if (!records.empty()) flush();
  bar.finish();

  text_table table({"pairs of", "pairs", "accuracy", "± s.e.", "margin", "loss"});
  nlohmann::json out{{"kind", "pairs"}, {"data", data.string()}, {"reward_model", path.string()}};
  const auto add = [&](const std::string& key, const std::string& label, const score_lists& list) {
    const auto measured = measure_pairs(list.preferred, list.other);
    table.add_row({label, std::to_string(measured.pairs), format_number(measured.accuracy, 4),
                   format_number(measured.standard_error, 4), format_short(measured.margin),
                   format_number(measured.loss, 4)});
    out[key] = report(measured);
  };
  if (!guided.preferred.empty() && !plain.preferred.empty()) {
    add("with_principles", "records with principles", guided);
    add("without_principles", "records without", plain);
  }
  guided.preferred.insert(guided.preferred.end(), plain.preferred.begin(), plain.preferred.end());
  guided.other.insert(guided.other.end(), plain.other.begin(), plain.other.end());
  add("overall", "the whole file", guided);
  std::cout << table.text();
  if (!context.out.empty()) write_json(context.out, out);
}

}  // namespace coho::trainer
