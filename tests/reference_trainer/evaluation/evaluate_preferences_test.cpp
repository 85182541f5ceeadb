#include "evaluation/evaluate_preferences.hpp"

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "models/model_files.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// A reward model that was never trained: the demo's base under a head of random numbers.
settings judging(const temporary_directory& folder) {
  loaded_model model = load_model(demo_base());
  start_role(model, "reward", {}, config(settings{"adapter.kind=full"}), rng{1});
  model.bank->set_head("reward", 0.2 * random_tensor({1, model.bank->config().hidden_size}, 3), at::zeros({1}));
  save_role(model, "reward", folder / "reward");
  write_bytes(folder / "plain.txt", "{Output}\n{Input}\nscore:");
  write_bytes(folder / "guided.txt", "{Output}\n{Input}\n{Dimensions}\nscore:");
  std::string hh, shp, ours;
  for (int i = 0; i < 7; ++i) {
    const std::string n(static_cast<std::size_t>(i), '?');
    hh += R"({"chosen":"\n\nHuman: what is the fox)" + n + R"(\n\nAssistant: the fox is red.","rejected":)" +
          R"("\n\nHuman: what is the fox)" + n + R"(\n\nAssistant: the fox is big."})" + "\n";
    shp += R"({"history":"why)" + n + R"(","human_ref_A":"the cat.","human_ref_B":"the owl.","labels":)" +
           std::to_string(i % 2) + R"(,"score_ratio":)" + (i < 3 ? "1.5" : "4") + "}\n";
    ours += R"({"instruction":"who)" + n + R"(","output_1":"the cat.","output_2":"the owl.","preference":1,)" +
            R"("principles":[{"name":"Brief","negated":)" + (i % 2 == 0 ? "true" : "false") +
            R"(,"text":"be brief."}],"dominant":0,"margin":)" + std::to_string(i + 1) + "}\n";
  }
  write_bytes(folder / "hh.jsonl", hh);
  write_bytes(folder / "shp.jsonl", shp);
  write_bytes(folder / "ours.jsonl", ours);
  return {"model.path=" + demo_base().string(), "eval.reward_model=" + (folder / "reward").string(),
          "out=" + (folder / "report.json").string(), "reward_prompt.template=" + (folder / "guided.txt").string(),
          "reward_prompt.plain_template=" + (folder / "plain.txt").string()};
}

std::string files(const temporary_directory& folder, std::initializer_list<const char*> names) {
  std::string out = "eval.data=[";
  for (const auto* name : names) out += "'" + (folder / name).string() + "',";
  return out + "]";
}

}  // namespace

TEST_CASE("eval preferences: a row a file and one of all, whatever the batch") {
  const temporary_directory folder;
  const auto given = judging(folder);
  run_stage(evaluate_preferences, given + settings{files(folder, {"hh.jsonl", "shp.jsonl", "ours.jsonl"})});
  const auto report = read_fixture(folder / "report.json");
  CHECK(report["kind"] == "preferences");
  REQUIRE(report["files"].size() == 3);
  CHECK(report["files"][0]["pairs"] == 7);
  CHECK(report["files"][0].count("by_principle") == 0);
  CHECK(report["files"][1]["pairs"] == 4);
  CHECK(report["files"][1]["left_out"] == 3);
  CHECK(report["files"][2]["by_principle"].size() == 2);
  CHECK(report["files"][2]["by_margin"].size() == 4);
  CHECK(report["overall"]["pairs"] == 18);
  CHECK(report["overall"]["with_principles"]["pairs"] == 7);
  CHECK(report["overall"]["scores"]["count"] == 36);
  double right = 0;
  for (const auto& file : report["files"]) right += file["accuracy"].get<double>() * file["pairs"].get<double>();
  CHECK(report["overall"]["accuracy"].get<double>() == Approx(right / 18));
  // The two responses of SHP's pairs are the same each time, and the labels alternate.
  CHECK(report["files"][1]["accuracy"] == 0.5);

  run_stage(evaluate_preferences, given + settings{files(folder, {"hh.jsonl", "shp.jsonl", "ours.jsonl"}),
                                                   "eval.batch=2", "out=" + (folder / "small.json").string()});
  const auto small = read_fixture(folder / "small.json");
  CHECK(small["overall"]["accuracy"] == report["overall"]["accuracy"]);
  CHECK(small["overall"]["loss"].get<double>() == Approx(report["overall"]["loss"].get<double>()).epsilon(1e-5));
}

TEST_CASE("eval preferences: pairs is its former name, and one file needs no list") {
  const temporary_directory folder;
  const auto given = judging(folder) + settings{"eval.data=" + (folder / "hh.jsonl").string(), "eval.limit=3"};
  const auto command = make_eval_command();
  const auto run = [&](const std::string& kind) {
    const config options(given + settings{"threads=1", "eval.kind=" + kind});
    stage_context context("eval", options, false, false, true);
    command.run(options, context);
    return read_bytes(folder / "report.json");
  };
  const auto report = run("preferences");
  CHECK(read_fixture(folder / "report.json")["overall"]["pairs"] == 3);
  CHECK(run("pairs") == report);
}

TEST_CASE("eval preferences: wrong input") {
  const temporary_directory folder;
  const auto given = judging(folder);
  const std::string hh = "eval.data=" + (folder / "hh.jsonl").string();
  CHECK_THROWS_AS(run_stage(evaluate_preferences, given), config_error);
  CHECK_THROWS_AS(run_stage(evaluate_preferences, given + settings{hh, "eval.batch=0"}), config_error);
  CHECK_THROWS_AS(run_stage(evaluate_preferences, given + settings{files(folder, {"hh.jsonl", "none.jsonl"})}),
                  file_error);
  CHECK_THROWS_WITH(run_stage(evaluate_preferences, given + settings{hh, "eval.reward_model=" + demo_base().string()}),
                    ContainsSubstring("no scalar head"));
  write_bytes(folder / "named.jsonl",
              R"({"instruction":"q","output_1":"a","output_2":"b","preference":1,"principles":[{"name":"Brief"}]})");
  CHECK_THROWS_WITH(run_stage(evaluate_preferences, given + settings{"eval.data=" + (folder / "named.jsonl").string()}),
                    ContainsSubstring("named.jsonl: line 1") && ContainsSubstring("without its definition"));
  CHECK_FALSE(std::filesystem::exists(folder / "report.json"));
}
