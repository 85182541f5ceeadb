#include "evaluation/evaluate_truthfulqa.hpp"

#include <cmath>
#include <iostream>
#include <limits>
#include <optional>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "files/data_files.hpp"
#include "files/json_file.hpp"
#include "models/model_files.hpp"
#include "observe/format.hpp"
#include "observe/table.hpp"
#include "roles/judge_role.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "settings/model_settings.hpp"
#include "settings/wording_settings.hpp"

namespace coho::trainer {
namespace {

// A wording with the two placeholders of a true/false question.
question_wording read_wording(const std::filesystem::path& path) {
  return question_wording::from_file(path, {"{Question}", "{Answer}"});
}

// How many of a question's answers, the first ones, are asked about.
std::size_t asked_answers(const truthful_item& item, bool first_half) {
  return first_half ? (item.answers.size() + 1) / 2 : item.answers.size();
}

// A question's entry in the file of results.
nlohmann::json truthfulqa_question_json(const truthful_item& item, std::span<const double> scores,
                                        const choice& chosen) {
  nlohmann::json answers = nlohmann::json::array();
  for (std::size_t i = 0; i < scores.size(); ++i)
    answers.push_back({{"text", item.answers[i].text}, {"true", item.answers[i].right}, {"score", scores[i]}});
  return {{"question", item.question},
          {"answers", answers},
          {"chosen", chosen.index},
          {"right", item.answers[chosen.index].right},
          {"tied", chosen.tied}};
}

}  // namespace

truthfulqa_result score_truthfulqa(std::span<const truthful_item> items, const question_wording& wording,
                                   const choice_log_odds& odds, std::uint64_t seed, bool first_half) {
  std::vector<std::string> prompts;
  for (const auto& item : items)
    for (std::size_t i = 0; i < asked_answers(item, first_half); ++i)
      prompts.push_back(wording({item.question, item.answers[i].text}));
  const auto measured = odds(prompts);
  require_argument(measured.size() == prompts.size(), "truthfulqa: the judge must give one number per prompt");
  truthfulqa_result out;
  auto next = measured.begin();
  for (const auto& item : items) {
    auto& scores = out.scores.emplace_back();
    std::vector<std::string_view> texts;
    for (std::size_t i = 0; i < asked_answers(item, first_half); ++i) {
      require_argument(std::isfinite(*next), "truthfulqa: the judge gave a number that is not finite");
      out.mean_odds += *next;
      scores.push_back(*next++);
      texts.push_back(item.answers[i].text);
    }
    const choice& chosen = out.chosen.emplace_back(best_choice(scores, texts, item.question, seed));
    if (chosen.tied) ++out.ties;
    ++out.overall.items;
    if (item.answers[chosen.index].right) ++out.overall.right;
  }
  if (!measured.empty()) out.mean_odds /= static_cast<double>(measured.size());
  return out;
}

namespace {

struct truthfulqa_options {
  std::filesystem::path data{}, adapter{};
  wording_options wording{};
  std::size_t batch = 64, limit = 0;
  bool first_half = false;

  static void describe(auto&& visit, auto&... o) {
    visit(required({"data", "TruthfulQA's mc_task.json"}), o.data...);
    visit({"adapter", "folder of the adapter or trained model that is asked"}, o.adapter...);
    wording_options::describe(visit, o.wording...);
    visit({"batch", "number of answers asked at a time", allowed::count()}, o.batch...);
    visit({"limit", "number of records used, from the start of a file; 0: all", {}, "records"}, o.limit...);
    visit(
        {"first_half", "whether only the first half of a question's answers is asked about, as by the released script"},
        o.first_half...);
  }
};

// `coho eval truthfulqa`: everything that can be wrong with options and files is found before the model is loaded.
class truthfulqa_stage : public stage {
 public:
  truthfulqa_stage(const config& options, stage_context&) {
    read_options(options.section("eval"), read_, {"wording", "template"});
    wording_path_ = read_wording_file(options, "truthfulqa");
    base_ = read_model_settings(options);
  }

  void check(const config&, stage_context& context) override {
    refuse_same_file("out", context.out, {read_.data});
    if (!context.dry_run || !is_missing(wording_path_)) wording_.emplace(read_wording(wording_path_));
  }

  void load(const config&, stage_context& context) override {
    items_ = read_truthfulqa(read_.data, read_.limit > 0 ? read_.limit : std::numeric_limits<std::size_t>::max());
    model_ = load_model(base_, context);
    load_role(model_, "judge", read_.adapter);
  }

  // Asks about all answers and reports.
  void run(stage_context& context) override {
    create_parent_folder(context.out);  // before work that may take hours
    judge_role judge(*model_.bank, "judge", *model_.tokenizer);
    std::size_t total = 0;
    for (const auto& item : items_) total += asked_answers(item, read_.first_half);
    auto bar = context.start_progress("eval", total, "answers");
    const auto result = score_truthfulqa(items_, *wording_,
                                         judge_log_odds(judge, " true", " false", read_.batch, context,
                                                        [&](std::size_t prompts) { bar.advance(prompts); }),
                                         context.seed, read_.first_half);
    bar.finish();
    report(result, context);
  }

 private:
  // Prints the table and writes `out`, if given.
  void report(const truthfulqa_result& result, const stage_context& context) const {
    text_table table({"answers asked", "questions", "right", "accuracy", "± s.e."});
    table.add_row({read_.first_half ? "first half" : "all", std::to_string(result.overall.items),
                   std::to_string(result.overall.right), format_number(result.overall.accuracy(), 4),
                   format_number(result.overall.standard_error(), 4)});
    std::cout << table.text() << "ties: " << result.ties
              << ", mean log-odds of true over false: " << format_number(result.mean_odds, 3) << '\n';
    if (context.out.empty()) return;
    nlohmann::json out{{"kind", "truthfulqa"},
                       {"data", read_.data.string()},
                       {"template", wording_path_.string()},
                       {"first_half", read_.first_half},
                       {"ties", result.ties},
                       {"mean_odds", result.mean_odds},
                       {"overall", to_json(result.overall)}};
    for (std::size_t i = 0; i < items_.size(); ++i)
      out["per_item"].push_back(truthfulqa_question_json(items_[i], result.scores[i], result.chosen[i]));
    write_json(context.out, out);
  }

  truthfulqa_options read_;
  std::filesystem::path wording_path_;
  model_settings base_;
  std::optional<question_wording> wording_;
  std::vector<truthful_item> items_;
  loaded_model model_;
};

}  // namespace

option_section truthfulqa_section() { return section_options("eval", truthfulqa_options{}); }

void evaluate_truthfulqa(const config& options, stage_context& context) {
  run_stage<truthfulqa_stage>(options, context);
}

}  // namespace coho::trainer
