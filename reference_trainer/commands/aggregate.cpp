#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/principle/aggregation.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "datasets/aggregate_summary.hpp"
#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "records/records.hpp"
#include "resources/principle_file.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "text/language.hpp"

namespace coho::trainer {
namespace {

// The released code bans the phrase, judges eleven principles, and draws from eight of them.
struct aggregate_options {
  recipe_preset preset = recipe_preset::paper;
  std::filesystem::path judgements{}, principles{};
  std::vector<std::filesystem::path> wordings{};
  std::vector<std::string> never_drawn{}, banned_phrases{};
  std::vector<double> set_sizes{};
  aggregation_options rules = aggregation_options::paper();

  // The defaults of a preset.
  static aggregate_options of(recipe_preset preset) {
    aggregate_options out{.preset = preset};
    if (preset == recipe_preset::salmon_code) {
      out.rules = aggregation_options::salmon_code();
      out.banned_phrases = {"As an AI language model"};
      out.never_drawn = {"Overall Helpful", "Natural and Fluent", "Multilingual"};
    }
    return out;
  }
  static void describe(auto&& visit, auto&... o) {
    visit({"preset", "origin of the defaults: the paper, or the released code"}, o.preset...);
    visit(required({"judgements", "file that `coho judge` wrote"}), o.judgements...);
    visit(
        otherwise("\"reward_model\"", {"principles", "file of principles with negative definitions, or a shipped one"}),
        o.principles...);
    visit({"never_drawn", "names of principles that are judged but not drawn"}, o.never_drawn...);
    visit({"wordings", "files that reword the same principles: each record takes each principle from one of them"},
          o.wordings...);
    visit(otherwise("geometric, at most 8", {"set_sizes", "weights of sets of 1, 2, … principles"}), o.set_sizes...);
    visit({"banned_phrases", "phrases; a response with one of them is not preferred"}, o.banned_phrases...);
    aggregation_options::describe(visit, o.rules...);
  }
  // Throws config_error for a rule about banned phrases that has no phrases, or phrases that no rule reads.
  void resolve(const config& section) {
    if (!set_sizes.empty()) rules.set_sizes = coho::principle_count_distribution::from_masses(set_sizes);
    section.check(std::ranges::none_of(banned_phrases, &std::string::empty), "banned_phrases",
                  "a list of texts that are not empty");
    // A rule that is never applied is refused; a preset without its own is not.
    section.check(banned_phrases.empty() || rules.banned_phrase_probability > 0, "banned_phrases",
                  "unset where aggregate.banned_phrase_probability is 0, as it has no effect");
    section.check(
        !banned_phrases.empty() || rules.banned_phrase_probability == 0 || !section.has("banned_phrase_probability"),
        "banned_phrase_probability", "0 without aggregate.banned_phrases");
  }
};

// The section over the defaults of its preset.
aggregate_options read_aggregate(const config& section) {
  auto out = read_preset<aggregate_options>(section);
  out.principles = shipped_file("principles/reward_model.json");
  // A preset's phrases, unless their rule is switched off.
  read_only(section, out, {"banned_phrase_probability"});
  if (out.rules.banned_phrase_probability == 0) out.banned_phrases.clear();
  read_options(section, out);
  return out;
}

// Takes principles out of the draw: their weight becomes 0. Names in the preset's own list may be absent, given
// ones may not.
void exclude_from_draw(const config& section, const std::vector<std::string>& names,
                       std::vector<principle>& principles) {
  for (const auto& name : names) {
    const auto found = std::ranges::find(principles, name, &principle::name);
    section.check(found != principles.end() || !section.has("never_drawn"), "never_drawn",
                  "names of principles in aggregate.principles");
    if (found != principles.end()) found->weight = 0;
  }
  section.check(std::ranges::any_of(principles, [](const auto& p) { return p.weight > 0; }), "never_drawn",
                "such that a principle is left to draw");
}

// The principles themselves when there are no alternative wordings.
std::vector<std::vector<principle>> load_wordings(const std::vector<std::filesystem::path>& files,
                                                  const std::vector<principle>& principles) {
  if (files.empty()) return {principles};
  std::vector<std::vector<principle>> wordings;
  for (const auto& file : files) {
    wordings.push_back(load_principles(file));
    for (std::size_t i = 0; i < principles.size(); ++i)
      if (wordings.back().size() != principles.size() || wordings.back()[i].name != principles[i].name)
        throw file_error(file.string(), "", "must hold the same principles in the same order as aggregate.principles",
                         "give every wording one file");
  }
  return wordings;
}

// The scores of a record in the order of the principles. file_error, at the record's line, where one is missing.
pair_judgement read_scores(const judgement_record& record, const std::vector<principle>& principles,
                           const jsonl_reader& at) {
  pair_judgement out;
  for (const auto& p : principles) {
    const auto found = std::find_if(record.scores.begin(), record.scores.end(),
                                    [&](const auto& score) { return score.principle == p.name; });
    if (found == record.scores.end())
      at.fail("no score for the principle \"" + p.name + "\"", "judge the pairs with the same principles");
    out.scores.push_back({found->in_order, found->swapped});
  }
  return out;
}

class aggregate_stage : public stage {
 public:
  aggregate_stage(const config& options, stage_context& context)
      : read_(read_aggregate(options.section("aggregate"))),
        path_(find_principle_file(read_.principles)),
        out_(context.out_or("preferences.jsonl")) {}

  void check(const config& options, stage_context& context) override {
    refuse_same_file("out", out_, {read_.judgements, path_});
    refuse_same_file("out", out_, {read_.wordings.begin(), read_.wordings.end()});
    if (context.dry_run && (is_missing(path_) || std::ranges::any_of(read_.wordings, is_missing))) return;
    principles_ = load_principles(path_);
    exclude_from_draw(options.section("aggregate"), read_.never_drawn, principles_);
    wordings_ = load_wordings(read_.wordings, principles_);
    statistics_.emplace(principles_.size());
    if (!context.dry_run) return;
    // The aggregator checks its options against the principles: any judgement works.
    statistics_->add({.scores = std::vector<judge_score>(principles_.size(), {1.0, 1.0})});
    static_cast<void>(preference_aggregator(principles_, *statistics_, read_.rules));
  }

  void load(const config&, stage_context& context) override {
    record_reader<judgement_record> reader(read_.judgements);
    for (judgement_record record; reader.next(record);) {
      context.stop_if_interrupted();
      statistics_->add(read_scores(record, principles_, reader.reader()));
    }
    pairs_ = reader.kept();
  }

  void run(stage_context& context) override {
    const preference_aggregator aggregate(principles_, *statistics_, read_.rules);
    aggregate_summary summary(principles_, *statistics_, read_.rules);
    const rng root = rng(context.seed).split(stream_key("aggregate"));
    jsonl_writer writer(out_, false);
    auto bar = context.start_progress("aggregate", pairs_, "pairs");
    record_reader<judgement_record> reader(read_.judgements);
    std::size_t index = 0;
    for (judgement_record record; reader.next(record); ++index) {
      context.stop_if_interrupted();
      const auto judgement = read_scores(record, principles_, reader.reader());
      const response_pair pair{record.pair.prompt.text(), record.pair.response_1, record.pair.response_2};
      const auto facts = read_.rules.language_rule ? find_rule_facts(pair, read_.banned_phrases, identify_language)
                                                   : find_rule_facts(pair, read_.banned_phrases);
      const auto scores = aggregate.scores(judgement);
      const auto preferences = aggregate(judgement, facts, root.split(index));
      summary.add(judgement, scores, facts, preferences);
      rng wording = root.split(index).split(stream_key("wording"));
      for (const auto& made : preferences) writer.write(to_json(make_record(record.pair, made, scores, wording)));
      bar.advance();
    }
    if (writer.count() == 0) {
      for (const auto& line : summary.log_lines()) context.log(line);
      throw file_error(read_.judgements.string(), "", "no pair gives a preference: every score is 0 or gated away",
                       "loosen aggregate.require_order_agreement or aggregate.minimum_order_consistency, or judge "
                       "with another model");
    }
    auto beside = out_;
    write_file(beside.replace_extension(".summary.json"), summary.to_json().dump(2) + "\n");
    writer.finish();
    bar.finish(std::to_string(writer.count()) + " preferences → " + out_.string());
    for (const auto& line : summary.log_lines()) context.log(line);
  }

 private:
  // The record of a preference, each principle in one of its wordings; the judge's scores are turned with the order of
  // the responses and with negation.
  preference_record make_record(const pair_record& pair, const preference& made, const std::vector<double>& scores,
                                rng& wording) const {
    preference_record written{.prompt = pair.prompt, .response_1 = pair.response_1, .response_2 = pair.response_2};
    if (made.swapped) std::swap(written.response_1, written.response_2);
    written.preferred = made.presented() + 1;
    written.dominant = made.dominant;
    written.label_margin = made.margin;
    for (const auto& drawn : made.principles) {
      const auto& worded = wordings_[wordings_.size() > 1 ? wording.index(wordings_.size()) : 0];
      const double sign = (drawn.negated ? -1.0 : 1.0) * (made.swapped ? -1.0 : 1.0);
      written.principles.push_back(
          {principles_[drawn.index].name, drawn.negated, definition_of(worded, drawn), sign * scores[drawn.index]});
    }
    return written;
  }

  aggregate_options read_;
  std::filesystem::path path_, out_;
  std::vector<principle> principles_;
  std::vector<std::vector<principle>> wordings_;
  std::optional<judgement_statistics> statistics_;
  std::size_t pairs_ = 0;
};

}  // namespace

void run_aggregate(const config& options, stage_context& context) { run_stage<aggregate_stage>(options, context); }

subcommand make_aggregate_command() {
  return {.name = "aggregate",
          .help = "turn judge scores into preferences under sets of principles",
          .run = run_aggregate,
          .flags = {{"--judgements", "aggregate.judgements"},
                    {"--principles", "aggregate.principles"},
                    {"--preset", "aggregate.preset", "paper or salmon_code"}},
          .options = {section_options("aggregate", aggregate_options{})}};
}

}  // namespace coho::trainer
