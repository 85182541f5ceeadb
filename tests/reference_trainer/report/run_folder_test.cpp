#include "report/run_folder.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/run_files.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

TEST_CASE("a run's folder gives its curves, settings, samples and stage") {
  const temporary_directory folder;
  write_ppo_run(folder / "a", 12, 1.0);
  write_bytes(folder / "a" / "evaluation.json", R"({"accuracy":0.75,"by":{"honest":0.5},"name":"x"})");
  const auto run = read_run(folder / "a");
  CHECK(run.stage == "ppo");
  CHECK(run.steps() == 12);
  CHECK_FALSE(run.ended);
  CHECK(run.find("reward").size() == 12);
  CHECK(run.find("eval/reward").size() == 2);
  CHECK(run.find("none").empty());
  CHECK(run.setting("ppo.kl_coefficient") == "0.02");
  CHECK(run.setting("none").empty());
  CHECK(run.evaluation == std::vector<std::pair<std::string, double>>{{"accuracy", 0.75}, {"by.honest", 0.5}});
  REQUIRE((run.first && run.last));
  CHECK(run.first->step == 0);
  CHECK(run.last->step == 12);
  CHECK(run.last->samples.size() == 4);
  CHECK(run.last->samples[1].finished == false);
  CHECK(run.last->samples[1].score == 1.25);

  write_bytes(folder / "a" / "adapter_config.json", "{}");
  CHECK(read_run(folder / "a").ended);
  fs::create_directory(folder / "a" / "checkpoints");
  CHECK_FALSE(read_run(folder / "a").ended);
}

TEST_CASE("without a recipe the metrics tell the stage") {
  const temporary_directory folder;
  const auto stage_of = [&](const std::string& line) {
    write_bytes(folder / "metrics.jsonl", line + "\n");
    return read_run(folder.path()).stage;
  };
  CHECK(stage_of(R"({"step":0,"reward":1,"kl":0})") == "ppo");
  CHECK(stage_of(R"({"step":0,"loss":1,"accuracy":0.5})") == "reward");
  CHECK(stage_of(R"({"step":0,"loss":1,"accuracy":0.5,"chosen_log_prob":-9})") == "dpo");
  CHECK(stage_of(R"({"step":0,"loss":1})") == "sft");
  CHECK(stage_of(R"({"step":0,"other":1})") == "run");
  write_bytes(folder / "config.toml", "[preference_pretraining]\nbatch_size = 1\n[reward_prompt]\nquery_tokens = 1\n");
  CHECK(stage_of(R"({"step":0,"loss":1})") == "preference_pretraining");
}

TEST_CASE("of a run under way the newest step that is whole counts") {
  const temporary_directory folder;
  write_ppo_run(folder.path(), 3, 0);
  const auto line = [](int step, const char* prompt) {
    return "{\"step\":" + std::to_string(step) + ",\"prompt\":\"" + prompt + "\",\"response\":\"r\"}\n";
  };
  const auto last_step = [&](const std::string& samples) -> std::int64_t {
    write_bytes(folder / "samples.jsonl", samples);
    const auto run = read_run(folder.path());
    return run.last ? run.last->step : run.first ? -1 : -2;
  };
  const auto first = line(0, "a") + line(0, "b");
  CHECK(last_step("") == -2);
  CHECK(last_step(first) == -1);
  CHECK(last_step(first + line(5, "a")) == 5);  // better a part than nothing
  CHECK(last_step(first + line(5, "a") + line(5, "b") + line(9, "a")) == 5);
  CHECK(last_step(first + line(5, "a") + line(5, "b") + line(9, "a") + line(9, "b").substr(0, 20)) == 5);
  CHECK(last_step(first + line(5, "a") + line(5, "b") + line(9, "a") + line(9, "b")) == 9);
}

TEST_CASE("samples of another kind are passed over with a note") {
  const temporary_directory folder;
  write_ppo_run(folder.path(), 3, 0);
  write_bytes(folder / "samples.jsonl", R"({"instruction":"q","responses":["a","b"]})");
  std::string note;
  const auto run = read_run(folder.path(), &note);
  CHECK_FALSE(run.first);
  CHECK_THAT(note, ContainsSubstring("samples.jsonl: line 1"));
}

TEST_CASE("a folder that holds no run, or an empty or broken one, is refused by its path") {
  const temporary_directory folder;
  CHECK_THROWS_WITH(find_runs(folder.path()), ContainsSubstring(folder.path().string() + ": has no metrics.jsonl"));
  CHECK_THROWS_WITH(find_runs(folder / "none"), ContainsSubstring("none: does not exist"));
  CHECK_THROWS_WITH(read_run(folder.path()), ContainsSubstring("has no metrics.jsonl"));
  write_bytes(folder / "metrics.jsonl", "");
  CHECK_THROWS_WITH(read_run(folder.path()), ContainsSubstring("metrics.jsonl: has no step yet"));
  write_bytes(folder / "metrics.jsonl", R"({"step":0,"los)");
  CHECK_THROWS_WITH(read_run(folder.path()), ContainsSubstring("has no step yet"));
  write_bytes(folder / "metrics.jsonl", "{\"loss\":1}\n");
  CHECK_THROWS_WITH(read_run(folder.path()), ContainsSubstring("line 1"));
  write_bytes(folder / "metrics.jsonl", "{\"step\":0,\"loss\":1}\n");
  write_bytes(folder / "config.toml", "[ppo\n");
  CHECK_THROWS_WITH(read_run(folder.path()), ContainsSubstring("config.toml:"));
  write_bytes(folder / "config.toml", "");
  write_bytes(folder / "evaluation.json", "{");
  CHECK_THROWS_WITH(read_run(folder.path()), ContainsSubstring("evaluation.json"));
}

TEST_CASE("runs are found in folders of folders, and named by what tells them apart") {
  const temporary_directory folder;
  for (const char* name : {"ppo/plain", "ppo/both", "work/reward"}) write_ppo_run(folder / name, 1, 0);
  const auto found = find_runs(folder.path());
  CHECK(found == std::vector<fs::path>{folder / "ppo/both", folder / "ppo/plain", folder / "work/reward"});
  CHECK(run_names(found) == std::vector<std::string>{"ppo/both", "ppo/plain", "work/reward"});
  CHECK(run_names({found[0], found[1]}) == std::vector<std::string>{"both", "plain"});
  CHECK(run_names({found[0]}) == std::vector<std::string>{"both"});
  CHECK(run_names({found[0] / ""}) == std::vector<std::string>{"both"});
  CHECK(find_runs(found[0]) == std::vector<fs::path>{found[0]});
  CHECK(find_runs(found[0] / "metrics.jsonl") == std::vector<fs::path>{found[0]});
}
