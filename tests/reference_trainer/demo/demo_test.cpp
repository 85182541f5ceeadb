#include "demo/demo.hpp"

#include <nlohmann/json.hpp>

#include "files/data_files.hpp"
#include "files/json_file.hpp"
#include "rollouts/symbolic_rewards.hpp"
#include "run/exit_codes.hpp"
#include "support/catch.hpp"
#include "support/ppo_recipes.hpp"
#include "support/run_program.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// Every stage on next to nothing: a demo that cannot keep its thresholds.
program_result small_demo(const temporary_directory& folder, const std::string& out, const std::string& threads) {
  std::vector<std::string> arguments{"demo", "--quiet", "--out", out, "--threads", threads};
  for (const char* value :
       {"demo.pairs=60", "demo.evaluation_pairs=30", "demo.evaluation_prompts=32", "aggregate.repeats=2", "ppo.steps=2",
        "ppo.rollouts=8", "ppo.minibatch_size=4", "ppo.normalization.samples=8"})
    arguments.insert(arguments.end(), {"--set", value});
  return run_program(COHO_EXECUTABLE, arguments, folder.path());
}

nlohmann::json figures(const std::filesystem::path& path) {
  auto out = read_json(path);
  out.erase("seconds");
  out.erase("peak_rss_bytes");
  return out;
}

}  // namespace

TEST_CASE("demo: its recipe serves the other stages too") {
  static_cast<void>(make_demo_command());
  const config recipe = config::load(shipped_file("recipes/demo.toml"));
  CHECK_NOTHROW(read_bonus(recipe.section("ppo"), 16));
}

TEST_CASE("demo: from judge to report; a threshold that is missed is named, with an exit status of its own") {
  const temporary_directory folder;
  const auto one = small_demo(folder, "one", "1");
  INFO(one.err);
  CHECK(one.status == static_cast<int>(exit_code::check_failed));
  CHECK_THAT(one.err, ContainsSubstring("ppo.plain.self_praise_rate"));
  CHECK_THAT(read_bytes(folder / "one" / "report.html"), ContainsSubstring("<svg"));
  const auto summary = figures(folder / "one" / "summary.json");
  for (const char* run : {"plain", "intervention", "honest", "example", "not_informative", "language", "length"})
    for (const char* key : {"reward", "kl", "length", "self_praise_rate", "facts", "hedge_rate", "example_rate",
                            "same_language_rate", "valid_rate", "empty_rate", "cap_rate"}) {
      INFO(run << '.' << key);
      CHECK(summary.at("ppo").at(run).at(key).is_number());
    }
  CHECK(summary.at("judge").at("accuracy") >= 0.9);  // the shipped base judges well, however few the pairs

  // What --set says reaches the stages.
  const auto recipe = read_bytes(folder / "one" / "ppo" / "plain" / "config.toml");
  CHECK_THAT(recipe, ContainsSubstring("steps = 2"));

  small_demo(folder, "two", "1");
  CHECK(figures(folder / "two" / "summary.json").dump() == summary.dump());
}

TEST_CASE("demo-base starts with its own recipe, and refuses a misspelt key of it") {
  const temporary_directory folder;
  const auto plan = run_program(COHO_EXECUTABLE, {"demo-base", "--dry-run"}, folder.path());
  INFO(plan.err);
  CHECK(plan.status == 0);
  CHECK_THAT(plan.out, ContainsSubstring("base_steps = 1250"));
  const auto wrong =
      run_program(COHO_EXECUTABLE, {"demo-base", "--dry-run", "--set", "demo.evaluation_pair=3"}, folder.path());
  CHECK(wrong.status == 3);
  CHECK_THAT(wrong.err, ContainsSubstring("did you mean demo.evaluation_pairs?"));
}

TEST_CASE("demo: options that it does not know or cannot keep are refused") {
  const temporary_directory folder;
  const auto misspelt =
      run_program(COHO_EXECUTABLE, {"demo", "--out", "d", "--set", "ppo.stepz=3", "--short"}, folder.path());
  CHECK(misspelt.status == static_cast<int>(exit_code::config));
  CHECK_THAT(misspelt.err, ContainsSubstring("ppo.steps"));
  const auto resumed = run_program(COHO_EXECUTABLE, {"demo", "--out", "e", "--resume"}, folder.path());
  CHECK(resumed.status == static_cast<int>(exit_code::config));
}

TEST_CASE("demo: --dry-run and the start of a run check every stage before the first one runs") {
  const temporary_directory folder;
  const auto plan = run_program(COHO_EXECUTABLE, {"demo", "--out", "d", "--dry-run"}, folder.path());
  INFO(plan.err);
  CHECK(plan.status == 0);
  CHECK_THAT(plan.out, ContainsSubstring("pairs = 3000"));
  for (const std::string wrong : {"ppo.stepz=3", "aggregate.label_noise=2", "reward.optimizer.beta2=1"}) {
    CAPTURE(wrong);
    for (const bool dry : {true, false}) {
      std::vector<std::string> words{"demo", "--out", "d", "--set", wrong};
      if (dry) words.emplace_back("--dry-run");
      const auto refused = run_program(COHO_EXECUTABLE, words, folder.path());
      CHECK(refused.status == static_cast<int>(exit_code::config));
      CHECK_THAT(refused.err, ContainsSubstring("--set " + wrong));
      CHECK_FALSE(std::filesystem::exists(folder / "d"));
    }
  }
}
