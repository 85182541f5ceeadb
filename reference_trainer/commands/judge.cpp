#include <cmath>
#include <utility>

#include <coho/error.hpp>
#include <nlohmann/json.hpp>
#include <coho/principle/judging.hpp>

#include "commands/commands.hpp"
#include "datasets/pair_stream.hpp"
#include "files/data_files.hpp"
#include "models/model_files.hpp"
#include "records/records.hpp"
#include "resources/principle_file.hpp"
#include "resources/template_file.hpp"
#include "roles/judge_role.hpp"
#include "run/output_file.hpp"
#include "run/training_run.hpp"
#include "settings/model_settings.hpp"

namespace coho::trainer {
namespace {

// A first pass over the files, so that what is wrong with their last line is said before the first hour's work.
pair_stream::totals count_pairs(const std::vector<std::filesystem::path>& samples, const pairing_options& choice,
                                const stage_context& context) {
  pair_stream stream(samples, choice);
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

// "31 % of the tokens computed": what prefixes shared by several prompts leave of the work.
std::string computed_share(const judge_role& judge) {
  const auto& tokens = judge.counts();
  if (tokens.asked == 0) return {};
  const double share = 100.0 * static_cast<double>(tokens.computed) / static_cast<double>(tokens.asked);
  return std::to_string(static_cast<int>(std::lround(share))) + " % of the tokens computed";
}

}  // namespace

void run_judge(const config& options, stage_context& context) {
  const auto samples = options.require_paths("judge.samples", "the file or files that `coho sample` wrote");
  const pairing_options choice = read_pairing(options, context.seed);
  const auto principles_path =
      principle_file(options.get<std::filesystem::path>("judge.principles", shipped("principles/reward_model.json")));
  const auto template_path = options.get<std::filesystem::path>("judge.template", shipped("prompts/judge.txt"));
  const auto batch = options.get<std::size_t>("judge.batch", 64);
  options.check(batch > 0, "judge.batch", "at least 1");
  const auto adapter = options.get<std::filesystem::path>("model.adapter", {});
  const auto out = context.out_or("judgements.jsonl");
  refuse_same_file("out", out, samples);
  refuse_same_file("out", out, {principles_path, template_path});
  read_model_settings(options);
  if (context.dry_run) {
    if (!not_there(principles_path)) load_principles(principles_path);
    if (!not_there(template_path)) static_cast<void>(judge_prompt(load_template(template_kind::judge, template_path)));
    return context.rehearse(options);
  }
  const auto principles = load_principles(principles_path);
  const judge_prompt prompt(load_template(template_kind::judge, template_path));
  loaded_model model = load_model(options);
  load_role(model, "judge", adapter);
  if (!context.begin(options)) return;
  use_threads(context);
  jsonl_writer writer(out, context.resume);
  if (writer.finished()) {
    context.log(out.string() + " is complete: nothing to do");
    return;
  }
  const auto all = count_pairs(samples, choice, context);

  judge_role judge(*model.bank, "judge", *model.tokenizer);
  auto bar = context.start_progress("judge", all.pairs, "pairs");
  bar.start_at(writer.count());
  // A batch of which a part is written already is judged as a whole again: a score's last digits depend on its batch.
  const std::size_t done = writer.count(), first = done - done % batch;
  pair_stream stream(samples, choice);
  std::vector<pair_record> pairs;
  const auto flush = [&] {
    std::vector<response_pair> asked;
    for (const auto& pair : pairs) asked.push_back({pair.prompt.text(), pair.response_1, pair.response_2});
    const std::size_t asked_before = judge.counts().asked;
    const auto judged = judge_pairs(judge, prompt, std::span<const response_pair>(asked), principles);
    std::size_t position = stream.counts().pairs - pairs.size();
    for (std::size_t i = 0; i < pairs.size(); ++i, ++position) {
      if (position < done) continue;
      judgement_record record{.pair = std::move(pairs[i]), .scores = {}};
      for (std::size_t p = 0; p < principles.size(); ++p)
        record.scores.push_back({principles[p].name, judged[i].scores[p].ab, judged[i].scores[p].ba});
      writer.write(to_json(record));
      bar.advance(1, computed_share(judge));
    }
    bar.count("tokens", static_cast<double>(judge.counts().asked - asked_before));
    pairs.clear();
  };
  for (pair_record pair; stream.next(pair);) {
    if (stream.counts().pairs <= first) continue;
    pairs.push_back(std::move(pair));
    if (pairs.size() == batch) flush();
    if (pairs.empty()) context.stop_if_interrupted();
  }
  if (!pairs.empty()) flush();
  writer.finish();
  bar.finish(computed_share(judge) + " → " + out.string());
  const auto& tokens = judge.counts();
  context.log("judged " + std::to_string(all.pairs) + " pairs of " + std::to_string(all.prompts) + " prompts; " +
              std::to_string(all.equal_responses) + " responses left out as equal to another, " +
              (choice.minimum_characters > 0 ? std::to_string(all.short_responses) + " as shorter than " +
                                                   std::to_string(choice.minimum_characters) + " characters, "
                                             : std::string()) +
              std::to_string(all.prompts_without_pair) + " prompts without a pair; " +
              (all.empty_responses > 0 ? std::to_string(all.empty_responses) + " responses are empty; " : "") +
              std::to_string(tokens.computed) + " of " + std::to_string(tokens.asked) + " tokens computed");
}

subcommand make_judge_command() {
  return {.name = "judge",
          .help = "judge pairs of responses under principles, in both orders",
          .run = run_judge,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder of the judging policy"},
                    {.name = "--samples",
                     .key = "judge.samples",
                     .help = "file of samples; may be repeated: all over the same prompts",
                     .repeatable = true},
                    {"--pairs", "judge.pairs", "first_two, adjacent, all or random"},
                    {"--principles", "judge.principles", "file of principles"},
                    {"--template", "judge.template", "judge prompt"}},
          .sections = {"model", "judge"}};
}

}  // namespace coho::trainer
