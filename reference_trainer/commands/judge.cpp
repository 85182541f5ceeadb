#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/principle/judging.hpp>

#include "commands/commands.hpp"
#include "config/column_option.hpp"
#include "config/read_options.hpp"
#include "datasets/pair_stream.hpp"
#include "files/data_files.hpp"
#include "models/model_files.hpp"
#include "records/records.hpp"
#include "resources/principle_file.hpp"
#include "resources/template_file.hpp"
#include "roles/judge_role.hpp"
#include "run/output_path.hpp"
#include "run/stage.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {
namespace {

// A first pass over the files, so that an error in the last line is reported before hours of work.
pair_stream::totals count_pairs(const std::vector<std::filesystem::path>& samples, const pairing_options& choice,
                                const column_choice& columns, const stage_context& context) {
  pair_stream stream(samples, choice, columns);
  for (pair_record pair; stream.next(pair);) context.stop_if_interrupted();
  if (stream.counts().pairs == 0)
    throw file_error(
        samples.front().string(), "",
        "no prompt has two responses that differ" +
            (choice.minimum_characters > 0 ? " and have " + std::to_string(choice.minimum_characters) + " characters"
                                           : std::string()),
        "sample with a temperature above 0, or more responses" +
            std::string(choice.minimum_characters > 0 ? ", or lower judge.minimum_characters" : ""));
  return stream.counts();
}

// "31 % of the tokens computed": the rest is saved by shared prefixes. Empty before the first question.
std::string computed_share(const judge_role& judge) {
  const auto& tokens = judge.counts();
  if (tokens.asked == 0) return {};
  const double share = 100.0 * static_cast<double>(tokens.computed) / static_cast<double>(tokens.asked);
  return std::to_string(static_cast<int>(std::lround(share))) + " % of the tokens computed";
}

struct judge_options {
  std::vector<std::filesystem::path> samples{};
  column_choice columns{};
  pairing_options pairs{};
  std::filesystem::path principles{}, template_path{};
  std::size_t batch = 64;

  static void describe(auto&& visit, auto&... o) {
    visit(required({"samples", "file or files that `coho sample` wrote"}), o.samples...);
    visit(columns_option, o.columns...);
    pairing_options::describe(visit, o.pairs...);
    visit(otherwise("\"reward_model\"", {"principles", "file of principles, or a shipped one"}), o.principles...);
    visit(otherwise("shipped", {"template", "template of the judge's prompt"}), o.template_path...);
    visit({"batch", "number of pairs judged at a time", allowed::count(), "pairs"}, o.batch...);
  }
  void check_constraints(const config& section) const {
    check_columns(section, columns, sample_columns);
    pairs.check_constraints(section);
  }
};

class judge_stage : public stage {
 public:
  judge_stage(const config& options, stage_context& context)
      : adapter_(read_starting_adapter(options)), out_(context.out_or("judgements.jsonl")) {
    const auto read = read_section<judge_options>(options.section("judge"),
                                                  {.principles = shipped_file("principles/reward_model.json"),
                                                   .template_path = shipped_file("prompts/judge.txt")});
    samples_ = read.samples;
    columns_ = read.columns;
    choice_ = read.pairs;
    choice_.random = pairing_rng(context.seed);
    principles_path_ = find_principle_file(read.principles);
    template_path_ = read.template_path;
    batch_ = read.batch;
    base_ = read_model_settings(options);
  }

  void check(const config&, stage_context& context) override {
    refuse_same_file("out", out_, samples_);
    refuse_same_file("out", out_, {principles_path_, template_path_});
    const auto wanted = [&](const std::filesystem::path& file) { return !context.dry_run || !is_missing(file); };
    if (wanted(principles_path_)) principles_ = load_principles(principles_path_);
    if (wanted(template_path_)) prompt_.emplace(load_template(template_kind::judge, template_path_));
  }

  bool finished(stage_context& context) const override { return log_if_complete(out_, context); }
  std::filesystem::path records() const override { return out_; }

  void load(const config&, stage_context& context) override {
    model_ = load_model(base_, context);
    load_role(model_, "judge", adapter_);
    all_ = count_pairs(samples_, choice_, columns_, context);
  }

  void run(stage_context& context) override {
    jsonl_writer writer(out_, context.resume);
    judge_role judge(*model_.bank, "judge", *model_.tokenizer);
    auto bar = context.start_progress("judge", all_.pairs, "pairs");
    bar.start_at(writer.count());
    // A partly written batch is judged again as a whole: a score's last digits depend on its batch.
    done_ = writer.count();
    const std::size_t first = done_ - done_ % batch_;
    pair_stream stream(samples_, choice_, columns_);
    std::vector<pair_record> pairs;
    const auto flush = [&] { judge_batch(judge, std::exchange(pairs, {}), stream.counts().pairs, writer, bar); };
    for (pair_record pair; stream.next(pair);) {
      if (stream.counts().pairs <= first) continue;
      pairs.push_back(std::move(pair));
      if (pairs.size() == batch_) flush();
      if (pairs.empty()) context.stop_if_interrupted();
    }
    if (!pairs.empty()) flush();
    writer.finish();
    bar.finish(computed_share(judge) + " → " + out_.string());
    log_totals(judge, context);
  }

 private:
  // Judges pairs under every principle, and writes those that an earlier run did not. `end`: the number of pairs up to
  // the last of these.
  void judge_batch(judge_role& judge, std::vector<pair_record> pairs, std::size_t end, jsonl_writer& writer,
                   progress& bar) {
    std::vector<response_pair> asked;
    for (const auto& pair : pairs) asked.push_back({pair.prompt.text(), pair.response_1, pair.response_2});
    const std::size_t asked_before = judge.counts().asked;
    const auto judged = judge_pairs(judge, *prompt_, std::span<const response_pair>(asked), principles_);
    std::size_t position = end - pairs.size();
    for (std::size_t i = 0; i < pairs.size(); ++i, ++position) {
      if (position < done_) continue;
      judgement_record record{.pair = std::move(pairs[i]), .scores = {}};
      for (std::size_t p = 0; p < principles_.size(); ++p)
        record.scores.push_back({principles_[p].name, judged[i].scores[p].ab, judged[i].scores[p].ba});
      writer.write(to_json(record));
      bar.advance(1, computed_share(judge));
    }
    bar.count("tokens", static_cast<double>(judge.counts().asked - asked_before));
  }

  // Logs what became of all responses and prompts.
  void log_totals(const judge_role& judge, stage_context& context) const {
    const auto& tokens = judge.counts();
    context.log("judged " + std::to_string(all_.pairs) + " pairs of " + std::to_string(all_.prompts) + " prompts; " +
                std::to_string(all_.equal_responses) + " responses left out as equal to another, " +
                (choice_.minimum_characters > 0 ? std::to_string(all_.short_responses) + " as shorter than " +
                                                      std::to_string(choice_.minimum_characters) + " characters, "
                                                : std::string()) +
                std::to_string(all_.prompts_without_pair) + " prompts without a pair; " +
                (all_.empty_responses > 0 ? std::to_string(all_.empty_responses) + " responses are empty; " : "") +
                std::to_string(tokens.computed) + " of " + std::to_string(tokens.asked) + " tokens computed");
  }

  std::vector<std::filesystem::path> samples_;
  column_choice columns_;
  pairing_options choice_;
  std::filesystem::path principles_path_, template_path_;
  std::size_t batch_ = 0;
  std::filesystem::path adapter_, out_;
  model_settings base_;
  std::vector<principle> principles_;
  std::optional<judge_prompt> prompt_;
  loaded_model model_;
  pair_stream::totals all_;
  std::size_t done_ = 0;  ///< pairs that an earlier run judged
};

}  // namespace

void run_judge(const config& options, stage_context& context) { run_stage<judge_stage>(options, context); }

subcommand make_judge_command() {
  return {.name = "judge",
          .help = "judge pairs of responses under principles, in both orders",
          .run = run_judge,
          .flags = {{"--model", "model.path"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder of the judging policy"},
                    {.name = "--samples",
                     .key = "judge.samples",
                     .help = "file of samples; may be repeated: all over the same prompts",
                     .repeatable = true},
                    {"--pairs", "judge.pairs", "first_two, adjacent, all or random"},
                    {"--principles", "judge.principles"},
                    {"--template", "judge.template"}},
          .options = {model_section(true), section_options("judge", judge_options{})}};
}

}  // namespace coho::trainer
