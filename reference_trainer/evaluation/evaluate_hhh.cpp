#include "evaluation/evaluate_hhh.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "files/atomic_file.hpp"
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
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

// What the wording of a question must contain.
std::vector<std::string> placeholder_names() { return {"{Input}", "{OutputA}", "{OutputB}"}; }

constexpr std::size_t wording_tokens = 256;  // of a prompt, left for its wording when input and answers are cut

// An item's entry in the file of results.
nlohmann::json hhh_item_json(const hhh_item& item, std::span<const double> scores, const choice& chosen) {
  nlohmann::json answers = nlohmann::json::array();
  for (std::size_t i = 0; i < item.answers.size(); ++i)
    answers.push_back({{"text", item.answers[i].text}, {"preferred", item.answers[i].preferred}, {"score", scores[i]}});
  return {{"category", item.category},
          {"input", item.input},
          {"answers", answers},
          {"chosen", chosen.index},
          {"right", item.answers[chosen.index].preferred},
          {"tied", chosen.tied}};
}

}  // namespace

choice_prompt::choice_prompt(std::string_view text, std::string_view source_name)
    : wording_(text, source_name, placeholder_names()) {}

choice_prompt choice_prompt::from_file(const std::filesystem::path& path) {
  return choice_prompt(question_wording::from_file(path, placeholder_names()));
}

std::string choice_prompt::operator()(std::string_view input, std::string_view first, std::string_view second) const {
  return wording_({input, first, second});
}

hhh_item truncate_hhh_item(const hhh_item& item, const text_tokenizer& tokenizer, std::size_t tokens) {
  const auto shorten = [&](std::string& text) {
    const auto all = tokenizer.encode(text);
    const bool cut = all.size() > tokens;
    if (cut) text = tokenizer.decode(std::span<const token>(all).last(tokens));
    text = std::string(trim_characters(text, " \t\r\n\f\v"));
    return cut;
  };
  hhh_item out = item;
  if (shorten(out.input)) out.input.insert(0, "... ");
  for (auto& answer : out.answers)
    if (shorten(answer.text)) answer.text += "...";
  return out;
}

hhh_result score_hhh(std::span<const hhh_item> items, const choice_prompt& prompt, const choice_log_odds& odds,
                     std::uint64_t seed) {
  struct placement {
    std::size_t item, first, second;
  };
  std::vector<placement> placements;
  std::vector<std::string> prompts;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& answers = items[i].answers;
    for (std::size_t a = 0; a < answers.size(); ++a) {
      for (std::size_t b = 0; b < answers.size(); ++b) {
        if (a == b) continue;
        placements.push_back({i, a, b});
        prompts.push_back(prompt(items[i].input, answers[a].text, answers[b].text));
      }
    }
  }
  const auto measured = odds(prompts);
  require_argument(measured.size() == prompts.size(), "hhh: the judge must give one number per prompt");
  std::vector<std::vector<double>> scores;
  for (const auto& item : items) scores.emplace_back(item.answers.size(), 0.0);
  hhh_result out;
  for (std::size_t k = 0; k < placements.size(); ++k) {
    require_argument(std::isfinite(measured[k]), "hhh: the judge gave a number that is not finite");
    scores[placements[k].item][placements[k].first] += measured[k];
    scores[placements[k].item][placements[k].second] -= measured[k];
    out.letter_bias += measured[k];
  }
  if (!placements.empty()) out.letter_bias /= static_cast<double>(placements.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    std::vector<std::string_view> texts;
    for (const auto& answer : items[i].answers) texts.push_back(answer.text);
    const choice& chosen = out.chosen.emplace_back(best_choice(scores[i], texts, items[i].input, seed));
    const bool right = items[i].answers[chosen.index].preferred;
    if (chosen.tied) ++out.ties;
    for (auto* count : {&out.categories[items[i].category], &out.overall}) {
      ++count->items;
      if (right) ++count->right;
    }
  }
  out.scores = std::move(scores);
  return out;
}

namespace {

struct hhh_options {
  std::filesystem::path data{}, adapter{};
  wording_options wording{};
  std::size_t batch = 16, limit = 0;
  std::optional<std::size_t> max_tokens{};

  static void describe(auto&& visit, auto&... o) {
    visit(required({"data", "a BIG-bench task.json, or a folder of them"}), o.data...);
    visit({"adapter", "folder of the adapter or trained model that is asked"}, o.adapter...);
    wording_options::describe(visit, o.wording...);
    visit({"batch", "number of items asked at a time", allowed::count()}, o.batch...);
    visit({"limit", "number of records used, from the start of a file; 0: all", {}, "records"}, o.limit...);
    visit(otherwise("the model's positions", {"max_tokens", "longest prompt; its texts are cut to fit", {}, "tokens"}),
          o.max_tokens...);
  }
};

// `coho eval hhh`: everything that can be wrong with options and files is found before the model is loaded.
class hhh_stage : public stage {
 public:
  hhh_stage(const config& options, stage_context&) {
    read_options(options.section("eval"), read_, {"wording", "template"});
    wording_ = read_wording_file(options, "hhh").string();
    base_ = read_model_settings(options);
  }

  void check(const config& options, stage_context& context) override {
    refuse_same_file("out", context.out, {read_.data});
    if (!context.dry_run || !is_missing(wording_)) prompt_.emplace(choice_prompt::from_file(wording_));
    if (read_.max_tokens) check_length(options, *read_.max_tokens);
  }

  void load(const config& options, stage_context& context) override {
    model_ = load_model(base_, context);
    load_role(model_, "judge", read_.adapter);
    if (!read_.max_tokens) read_.max_tokens = static_cast<std::size_t>(model_.bank->config().max_position_embeddings);
    check_length(options, *read_.max_tokens);
    items_ = read_hhh(read_.data);
    if (read_.limit > 0 && read_.limit < items_.size()) items_.resize(read_.limit);
  }

  // Cuts the items to the model's length, asks all questions and reports.
  void run(stage_context& context) override {
    create_parent_folder(context.out);  // before work that may take hours
    for (auto& item : items_)
      item = truncate_hhh_item(item, *model_.tokenizer, (*read_.max_tokens - wording_tokens) / 3);
    judge_role judge(*model_.bank, "judge", *model_.tokenizer);
    auto bar = context.start_progress("eval", items_.size(), "items");
    // Two prompts per pair of answers: an item of two answers is done with both.
    const auto result = score_hhh(items_, *prompt_,
                                  judge_log_odds(judge, " A", " B", 2 * read_.batch, context,
                                                 [&](std::size_t prompts) { bar.advance(prompts / 2); }),
                                  context.seed);
    bar.finish();
    report(result, context);
  }

 private:
  // The wording and at least one token of input and answers must fit.
  static void check_length(const config& options, std::size_t tokens) {
    options.check(tokens >= wording_tokens + 3, "eval.max_tokens",
                  "at least 259, of which 256 are left for the wording");
  }

  // Prints the table and writes `out`, if given.
  void report(const hhh_result& result, const stage_context& context) const {
    text_table table({"category", "items", "right", "accuracy", "± s.e."});
    nlohmann::json out{{"kind", "hhh"},
                       {"data", read_.data.string()},
                       {"template", wording_},
                       {"ties", result.ties},
                       {"letter_bias", result.letter_bias}};
    const auto add = [&](const std::string& name, const choice_count& count) {
      table.add_row({name, std::to_string(count.items), std::to_string(count.right), format_number(count.accuracy(), 4),
                     format_number(count.standard_error(), 4)});
    };
    for (const auto& [name, count] : result.categories) {
      add(name, count);
      out["categories"][name] = to_json(count);
    }
    add("overall", result.overall);
    out["overall"] = to_json(result.overall);
    std::cout << table.text() << "ties: " << result.ties
              << ", mean log-odds of A over B: " << format_number(result.letter_bias, 3) << '\n';
    if (context.out.empty()) return;
    for (std::size_t i = 0; i < items_.size(); ++i)
      out["per_item"].push_back(hhh_item_json(items_[i], result.scores[i], result.chosen[i]));
    write_json(context.out, out);
  }

  hhh_options read_;
  std::string wording_;
  model_settings base_;
  std::optional<choice_prompt> prompt_;
  loaded_model model_;
  std::vector<hhh_item> items_;
};

}  // namespace

option_section hhh_section() { return section_options("eval", hhh_options{}); }

void evaluate_hhh(const config& options, stage_context& context) { run_stage<hhh_stage>(options, context); }

}  // namespace coho::trainer
