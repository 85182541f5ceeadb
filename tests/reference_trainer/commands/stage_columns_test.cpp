// Every stage that reads records chooses their columns by one option.

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "datasets/pair_stream.hpp"
#include "evaluation/evaluate_preferences.hpp"
#include "rollouts/rl_prompts.hpp"
#include "settings/ppo_evaluation_settings.hpp"
#include "support/catch.hpp"
#include "support/ppo_runs.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

void run_generate(const config& options, stage_context& context) { make_generate_command().run(options, context); }

// The stage refuses a name that it does not read, and a column that the file lacks.
void check_refusals(stage_function stage, const settings& given, const std::string& section, const std::string& name) {
  INFO(section);
  CHECK_THROWS_WITH(run_stage(stage, given + settings{section + ".columns.nme=q"}),
                    ContainsSubstring(section + ".columns.nme") && ContainsSubstring("a name that is read here"));
  CHECK_THROWS_WITH(run_stage(stage, given + settings{section + ".columns." + name + "=none"}),
                    ContainsSubstring("there is no column \"none\"; the columns are "));
}

}  // namespace

TEST_CASE("stage columns: pairs of samples under other names") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", R"({"q":"why?","answers":["so.","no."],"instruction":"another"})");
  pair_stream stream({folder / "a.jsonl"}, {}, {{"instruction", "q"}, {"responses", "answers"}});
  pair_record pair;
  REQUIRE(stream.next(pair));
  CHECK(pair == pair_record{.prompt = {.instruction = "why?"}, .response_1 = "so.", .response_2 = "no."});
  CHECK_FALSE(stream.next(pair));
  check_refusals(run_judge,
                 {"model.path=" + demo_base().string(), "judge.samples=" + (folder / "a.jsonl").string(),
                  "judge.template=" + (source_dir() / "reference_trainer/demo/prompts/judge.txt").string(),
                  "out=" + (folder / "out.jsonl").string()},
                 "judge", "responses");
}

TEST_CASE("stage columns: generate answers the prompts of a column") {
  const temporary_directory folder;
  write_bytes(folder / "own.jsonl", "{\"prompt\":\"why is the fox red?\"}\n");
  write_bytes(folder / "other.jsonl", "{\"q\":\"why is the fox red?\",\"prompt\":\"another\"}\n");
  const auto answer = [&](const char* file, const settings& more) {
    run_stage(run_generate,
              settings{"model.path=" + demo_base().string(), "generation.max_new_tokens=6",
                       "generate.prompts=" + (folder / file).string(), "out=" + (folder / "out.jsonl").string()} +
                  more);
    return json::parse(read_bytes(folder / "out.jsonl"))["output"];
  };
  CHECK(answer("other.jsonl", {"generate.columns.prompt=q"}) == answer("own.jsonl", {}));
  check_refusals(run_generate,
                 {"model.path=" + demo_base().string(), "generate.prompts=" + (folder / "other.jsonl").string(),
                  "out=" + (folder / "again.jsonl").string()},
                 "generate", "prompt");
  CHECK_THROWS_WITH(run_stage(run_generate, {"model.path=" + demo_base().string(), "generate.prompt=why?",
                                             "generate.columns.prompt=q"}),
                    ContainsSubstring("generate.columns"));
}

TEST_CASE("stage columns: ppo and its evaluation") {
  const temporary_directory folder;
  const auto given = reinforcing(folder, "out") + settings{"ppo.length_bonus.coefficient=1", "ppo.steps=1",
                                                           "ppo.rollouts=2", "ppo.evaluation.prompts="};
  check_refusals(run_ppo, given, "ppo", "prompt");
  write_bytes(folder / "other.jsonl", "{\"q\":\"why?\"}\n");
  const loaded_model model = load_model(demo_base());
  const config none(settings{});
  stage_context context("test", none, false, false, true);
  const prompter prompts = make_prompter(none, model);
  const auto read =
      read_rl_prompts({.prompts = folder / "other.jsonl", .columns = {{"prompt", "q"}}}, prompts, context);
  REQUIRE(read.size() == 1);
  CHECK(read[0].instruction == "why?");
  // The evaluation's columns are those of training unless it has its own.
  const column_choice training{{"prompt", "q"}};
  const auto columns_of = [&](const settings& more) {
    const config recipe(settings{"ppo.evaluation.prompts=held_out.jsonl"} + more);
    return read_ppo_evaluation_settings(recipe.section("ppo"), {}, training).columns;
  };
  CHECK(columns_of({}) == training);
  CHECK(columns_of({"ppo.evaluation.columns.prompt=held"}) == column_choice{{"prompt", "held"}});
  CHECK_THROWS_AS(columns_of({"ppo.evaluation.columns.promt=held"}), config_error);
}

TEST_CASE("stage columns: eval preferences") {
  const temporary_directory folder;
  const auto reward = random_reward_model(folder);
  write_bytes(folder / "own.jsonl", R"({"prompt":"why?","chosen":"so it is.","rejected":"no."})");
  write_bytes(folder / "other.jsonl", R"({"q":"why?","best":"so it is.","worst":"no.","chosen":"another"})");
  const auto report = [&](const char* file, const settings& more) {
    run_stage(evaluate_preferences,
              settings{"model.path=" + demo_base().string(), "eval.reward_model=" + (folder / "reward").string(),
                       "reward_prompt.plain_template=" + (folder / "plain.txt").string(),
                       "eval.data=" + (folder / file).string(), "out=" + (folder / "report.json").string()} +
                  more);
    return json::parse(read_bytes(folder / "report.json"))["overall"];
  };
  const settings chosen{"eval.columns.prompt=q", "eval.columns.chosen=best", "eval.columns.rejected=worst"};
  CHECK(report("other.jsonl", chosen) == report("own.jsonl", {}));
  check_refusals(evaluate_preferences,
                 {"model.path=" + demo_base().string(), "eval.reward_model=" + (folder / "reward").string(),
                  "eval.data=" + (folder / "other.jsonl").string()},
                 "eval", "prompt");
}
