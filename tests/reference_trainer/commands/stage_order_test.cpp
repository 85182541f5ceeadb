#include <string>
#include <utility>
#include <vector>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

struct staged {
  std::string name;
  stage_function run;
  settings given;  ///< all that must be given, of files that are not there
};

// Every stage that loads a model or data.
std::vector<staged> all_stages() {
  return {{"prompts", run_prompts, {"prompts.source.a.path=/nowhere/a.jsonl"}},
          {"self_align", run_self_align, {"self_align.prompts=/nowhere/p.jsonl"}},
          {"sft", run_sft, {"sft.data=/nowhere/d.jsonl"}},
          {"sample", run_sample, {"sample.prompts=/nowhere/p.jsonl"}},
          {"judge", run_judge, {"judge.samples=/nowhere/s.jsonl", "judge.principles=/nowhere/p.json"}},
          {"aggregate", run_aggregate, {"aggregate.judgements=/nowhere/j.jsonl"}},
          {"reward", run_reward, {"reward.data=/nowhere/d.jsonl"}},
          {"ppo", run_ppo, {"ppo.prompts=/nowhere/p.jsonl", "ppo.reward_model=/nowhere/reward"}},
          {"merge", run_merge, {"model.adapter=/nowhere/adapter"}},
          {"quantize", run_quantize, {}},
          {"report", run_report, {"report.runs=/nowhere/run"}}};
}

settings all_of(const staged& one, const temporary_directory& folder) {
  const bool model = one.name != "aggregate" && one.name != "report";
  settings out = one.given + settings{"out=" + (folder / "out").string()};
  if (model) out.emplace_back("model.path=/nowhere/model");
  return out;
}

}  // namespace

TEST_CASE("stages: a misspelt key is told before a file is opened") {
  const temporary_directory folder;
  for (const auto& one : all_stages()) {
    CAPTURE(one.name);
    const settings given = all_of(one, folder);
    CHECK_THROWS_WITH(run_stage(one.run, given + settings{one.name + ".no_such_key=1"}),
                      ContainsSubstring(one.name + ".no_such_key"));
    CHECK_THROWS_AS(run_stage(one.run, given), coho::file_error);
    CHECK_FALSE(std::filesystem::exists(folder / "out"));
  }
}

TEST_CASE("stages: a dry run opens no model and no data, and writes nothing") {
  const temporary_directory folder;
  for (const auto& one : all_stages()) {
    CAPTURE(one.name);
    const config options(all_of(one, folder));
    for (const bool resume : {false, true}) {
      stage_context context("test", options, resume, true, true);
      bool planned = false;
      context.on_dry_run = [&](const config&, const auto&) { planned = true; };
      one.run(options, context);
      CHECK(planned);
    }
    CHECK(std::filesystem::is_empty(folder.path()));
  }
}
