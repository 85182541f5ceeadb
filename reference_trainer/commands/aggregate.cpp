#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/principle/aggregation.hpp>

#include "commands/commands.hpp"
#include "config/read_options.hpp"
#include "evaluation/aggregate_summary.hpp"
#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "records/records.hpp"
#include "resources/principle_file.hpp"
#include "run/output_file.hpp"
#include "run/stage.hpp"
#include "text/language.hpp"

namespace coho::trainer {
namespace {

aggregation_options read_aggregation(const config& section) {
  auto out = section.choice("preset", "paper", {"paper", "salmon_code"}) == "paper"
                 ? aggregation_options::paper()
                 : aggregation_options::salmon_code();
  read_options(section, out);
  const auto sizes = section.get<std::vector<double>>("set_sizes", {});
  if (!sizes.empty()) out.sizes = set_sizes::given(sizes);
  return out;
}

// Banned phrases with a probability of 0, or a probability without a phrase, make a rule that is
// never applied: both are rejected, while "salmon_code" with an empty list or a chance of 0 is that preset without the
// rule.
std::vector<std::string> read_banned_phrases(const config& section, const aggregation_options& rules) {
  const bool code = section.get<std::string>("preset", "paper") == "salmon_code" && rules.banned_phrase_probability > 0;
  auto out = section.get<std::vector<std::string>>(
      "banned_phrases", code ? std::vector<std::string>{"As an AI language model"} : std::vector<std::string>{});
  section.check(std::ranges::none_of(out, &std::string::empty), "banned_phrases", "a list of texts that are not empty");
  section.check(out.empty() || rules.banned_phrase_probability > 0, "banned_phrases",
                "unset where aggregate.banned_phrase_probability is 0, as it has no effect");
  section.check(!out.empty() || rules.banned_phrase_probability == 0 || !section.has("banned_phrase_probability"),
                "banned_phrase_probability", "0 without aggregate.banned_phrases");
  return out;
}

// The released code judges eleven principles and draws from eight of them.
const std::vector<std::string> never_drawn_by_code{"Overall Helpful", "Natural and Fluent", "Multilingual"};

std::vector<std::string> read_never_drawn(const config& section) {
  const bool code = section.get<std::string>("preset", "paper") == "salmon_code";
  return section.get<std::vector<std::string>>("never_drawn", code ? never_drawn_by_code : std::vector<std::string>{});
}

// Takes principles out of the draw: their weight becomes 0. Names in the preset's own list may be absent, given
// ones may not.
void leave_out(const config& section, const std::vector<std::string>& names, std::vector<principle>& principles) {
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
std::vector<std::vector<principle>> load_wordings(const std::vector<std::string>& files,
                                                  const std::vector<principle>& principles) {
  if (files.empty()) return {principles};
  std::vector<std::vector<principle>> wordings;
  for (const auto& file : files) {
    wordings.push_back(load_principles(file));
    for (std::size_t i = 0; i < principles.size(); ++i)
      if (wordings.back().size() != principles.size() || wordings.back()[i].name != principles[i].name)
        throw file_error(file, "", "must hold the same principles in the same order as aggregate.principles",
                         "give every wording one file");
  }
  return wordings;
}

pair_judgement scores_of(const judgement_record& record, const std::vector<principle>& principles,
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
      : input_(options.require<std::filesystem::path>("aggregate.judgements", "the file that `coho judge` wrote")),
        path_(principle_file(
            options.get<std::filesystem::path>("aggregate.principles", shipped("principles/reward_model.json")))),
        wording_files_(options.get<std::vector<std::string>>("aggregate.wordings", {})),
        rules_(read_aggregation(options.section("aggregate"))),
        phrases_(read_banned_phrases(options.section("aggregate"), rules_)),
        never_drawn_(read_never_drawn(options.section("aggregate"))),
        out_(context.out_or("preferences.jsonl")) {}

  void check(const config& options, stage_context& context) override {
    refuse_same_file("out", out_, {input_, path_});
    refuse_same_file("out", out_, {wording_files_.begin(), wording_files_.end()});
    if (context.dry_run && (not_there(path_) || std::ranges::any_of(wording_files_, not_there))) return;
    principles_ = load_principles(path_);
    leave_out(options.section("aggregate"), never_drawn_, principles_);
    wordings_ = load_wordings(wording_files_, principles_);
    statistics_.emplace(principles_.size());
    if (!context.dry_run) return;
    // The aggregator checks its options against the principles: any judgement works.
    statistics_->add({.scores = std::vector<judge_score>(principles_.size(), {1.0, 1.0})});
    static_cast<void>(preference_aggregator(principles_, *statistics_, rules_));
  }

  void load(const config&, stage_context& context) override {
    record_reader<judgement_record> reader(input_);
    for (judgement_record record; reader.next(record);) {
      context.stop_if_interrupted();
      statistics_->add(scores_of(record, principles_, reader.reader()));
    }
    pairs_ = reader.kept();
  }

  void run(stage_context& context) override {
    const preference_aggregator aggregate(principles_, *statistics_, rules_);
    aggregate_summary summary(principles_, *statistics_, rules_);
    const rng root = rng(context.seed).split(stream_key("aggregate"));
    jsonl_writer writer(out_, false);
    auto bar = context.start_progress("aggregate", pairs_, "pairs");
    record_reader<judgement_record> reader(input_);
    std::size_t index = 0;
    for (judgement_record record; reader.next(record); ++index) {
      context.stop_if_interrupted();
      const auto judgement = scores_of(record, principles_, reader.reader());
      const response_pair pair{record.pair.prompt.text(), record.pair.response_1, record.pair.response_2};
      const auto facts =
          rules_.language_rule ? find_rule_facts(pair, phrases_, identify_language) : find_rule_facts(pair, phrases_);
      const auto scores = aggregate.scores(judgement);
      const auto preferences = aggregate(judgement, facts, root.split(index));
      summary.add(judgement, scores, facts, preferences);
      rng wording = root.split(index).split(stream_key("wording"));
      for (const auto& made : preferences) writer.write(to_json(written_out(record.pair, made, scores, wording)));
      bar.advance();
    }
    if (writer.count() == 0) {
      for (const auto& line : summary.lines()) context.log(line);
      throw file_error(input_.string(), "", "no pair gives a preference: every score is 0 or gated away",
                       "loosen aggregate.require_order_agreement or aggregate.minimum_order_consistency, or judge "
                       "with another model");
    }
    auto beside = out_;
    write_file(beside.replace_extension(".summary.json"), summary.to_json().dump(2) + "\n");
    writer.finish();
    bar.finish(std::to_string(writer.count()) + " preferences → " + out_.string());
    for (const auto& line : summary.lines()) context.log(line);
  }

 private:
  preference_record written_out(const pair_record& pair, const preference& made, const std::vector<double>& scores,
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

  std::filesystem::path input_, path_;
  std::vector<std::string> wording_files_;
  aggregation_options rules_;
  std::vector<std::string> phrases_, never_drawn_;
  std::filesystem::path out_;
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
          .flags = {{"--judgements", "aggregate.judgements", "file that judge wrote"},
                    {"--principles", "aggregate.principles", "file of principles with negative definitions"},
                    {"--preset", "aggregate.preset", "paper or salmon_code"}},
          .sections = {"aggregate"}};
}

}  // namespace coho::trainer
