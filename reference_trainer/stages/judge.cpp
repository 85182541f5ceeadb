#include "stages/judge.hpp"

#include <cstdint>
#include <utility>

#include <coho/error.hpp>
#include <nlohmann/json.hpp>
#include <coho/principle/judging.hpp>

#include "data/principle_file.hpp"
#include "data/records.hpp"
#include "data/template_file.hpp"
#include "roles/judge_role.hpp"
#include "stages/data_files.hpp"
#include "stages/model_files.hpp"
#include "stages/model_settings.hpp"
#include "stages/training_run.hpp"

namespace coho::trainer {

void run_judge(const config& options, stage_context& context) {
  const auto samples = options.require<std::filesystem::path>("judge.samples", "the file that `coho sample` wrote");
  const auto principles_path =
      principle_file(options.get<std::filesystem::path>("judge.principles", shipped("principles/reward_model.json")));
  const auto template_path = options.get<std::filesystem::path>("judge.template", shipped("prompts/judge.txt"));
  const auto batch = options.get<std::size_t>("judge.batch", 64);
  options.check(batch > 0, "judge.batch", "at least 1");
  const auto adapter = options.get<std::filesystem::path>("model.adapter", {});
  const auto out = context.out_or("judgements.jsonl");
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
  const auto pairs = read_records<pair_record>(samples);

  judge_role judge(*model.bank, "judge", *model.tokenizer);
  jsonl_writer writer(out, context.resume);
  auto bar = context.start_progress("judge", pairs.size(), "pairs");
  bar.start_at(writer.count());
  std::uint64_t tokens = 0;
  while (writer.count() < pairs.size()) {
    context.stop_if_interrupted();
    // A batch of which a part is written already is judged as a whole again: a score's last digits depend on its batch.
    const std::size_t done = writer.count(), first = done - done % batch, last = std::min(pairs.size(), first + batch);
    std::vector<response_pair> asked;
    for (std::size_t i = first; i < last; ++i)
      asked.push_back({pairs[i].prompt.text(), pairs[i].response_1, pairs[i].response_2});
    const auto judged = judge_pairs(judge, prompt, std::span<const response_pair>(asked), principles);
    for (std::size_t i = done; i < last; ++i) {
      judgement_record record{.pair = pairs[i], .scores = {}};
      for (std::size_t p = 0; p < principles.size(); ++p)
        record.scores.push_back({principles[p].name, judged[i - first].scores[p].ab, judged[i - first].scores[p].ba});
      writer.write(to_json(record));
    }
    bar.count("tokens", static_cast<double>(judge.tokens_read() - std::exchange(tokens, judge.tokens_read())));
    bar.advance(last - done);
  }
  writer.finish();
  bar.finish(out.string());
}

subcommand make_judge_command() {
  return {.name = "judge",
          .help = "judge pairs of responses under principles, in both orders",
          .run = run_judge,
          .flags = {{"--model", "model.path", "folder of the base model"},
                    random_weights_flag(),
                    {"--adapter", "model.adapter", "folder of the judging policy"},
                    {"--samples", "judge.samples", "file of sampled pairs"},
                    {"--principles", "judge.principles", "file of principles"},
                    {"--template", "judge.template", "judge prompt"}},
          .sections = {"model", "judge"}};
}

}  // namespace coho::trainer
