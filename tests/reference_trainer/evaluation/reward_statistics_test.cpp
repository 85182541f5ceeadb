#include "evaluation/reward_statistics.hpp"

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "models/model_files.hpp"
#include "support/catch.hpp"
#include "support/ppo_recipes.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using kind = normalization_from;

namespace {

normalization_source chosen(const settings& given, bool has_reward_model = true) {
  const config options(given);
  const auto read = read_ppo_training(options, stage_context("ppo", options, false, false, true), {}, 10);
  check_normalization(options.section("ppo"), read, has_reward_model);
  return read.normalization;
}

}  // namespace

TEST_CASE("reward statistics: what is written reads back") {
  const temporary_directory folder;
  CHECK_FALSE(read_reward_statistics(folder.path()).has_value());
  write_reward_statistics(
      folder.path(),
      {"held-out pairs", {.scores = 200, .mean = -0.1, .deviation = 1.0 / 3, .minimum = -2, .maximum = 3}});
  const auto read = read_reward_statistics(folder.path());
  REQUIRE(read.has_value());
  CHECK(read->over == "held-out pairs");
  CHECK(read->scores.scores == 200);
  CHECK(read->scores.mean == -0.1);
  CHECK(read->scores.deviation == 1.0 / 3);
  CHECK(read->scores.minimum == -2);
  CHECK(read->scores.maximum == 3);
  const auto scale = load_normalization(folder.path());
  CHECK(scale.mean == -0.1);
  CHECK(scale.deviation == 1.0 / 3);

  const temporary_directory other;
  copy_reward_statistics(folder.path(), other.path());
  CHECK(read_bytes(other / "reward_statistics.json") == read_bytes(folder / "reward_statistics.json"));
  const temporary_directory empty, target;
  copy_reward_statistics(empty.path(), target.path());
  CHECK(std::filesystem::is_empty(target.path()));
}

TEST_CASE("reward statistics: files that cannot be used are named with their field") {
  const temporary_directory folder;
  CHECK_THROWS_WITH(load_normalization(folder.path()), ContainsSubstring("reward_statistics.json: no such file"));
  const auto refused = [&](const std::string& content, const std::string& field) {
    write_bytes(folder / "reward_statistics.json", content);
    CHECK_THROWS_WITH(load_normalization(folder.path()),
                      ContainsSubstring("reward_statistics.json") && ContainsSubstring(field));
  };
  refused("{", "");
  refused("[1]", "scores");
  refused(R"({"scores":2,"mean":null,"deviation":1,"minimum":0,"maximum":1})", "mean");
  refused(R"({"scores":2,"mean":0,"deviation":-1,"minimum":0,"maximum":1})", "deviation");
  refused(R"({"scores":2,"mean":0,"deviation":0,"minimum":0,"maximum":0})", "all scores were equal");
  refused(R"({"scores":0,"mean":0,"deviation":1,"minimum":0,"maximum":0})", "scores");
}

TEST_CASE("reward statistics: what PPO normalises by") {
  CHECK(chosen({}).from == kind::none);
  CHECK(chosen({"ppo.normalization.samples=8"}).from == kind::initial_policy);
  CHECK(chosen({"ppo.normalization.samples=8"}).samples == 8);
  CHECK(chosen({"ppo.normalization.samples=0", "ppo.normalization.from=none"}).from == kind::none);
  for (const std::string other : {"none", "reward_model"})
    CHECK_THROWS_WITH(chosen({"ppo.normalization.samples=8", "ppo.normalization.from=" + other}),
                      ContainsSubstring("ppo.normalization.samples = 8") &&
                          ContainsSubstring("left out unless normalization.from is initial_policy"));
  CHECK(chosen({"ppo.normalization.from=reward_model"}).from == kind::reward_model);
  CHECK_THROWS_AS(chosen({"ppo.normalization.from=initial_policy"}), config_error);
  CHECK_THROWS_AS(chosen({"ppo.normalization.from=reward_model"}, false), config_error);
  CHECK_THROWS_AS(chosen({"ppo.normalization.from=reward"}), config_error);
  // Without a reward model there is no score to normalise.
  CHECK_THROWS_WITH(chosen({"ppo.normalization.mean=0.5"}, false),
                    ContainsSubstring("where there is no ppo.reward_model"));
  CHECK_NOTHROW(chosen({"ppo.normalization.mean=0.5"}));
}

TEST_CASE("reward statistics: PPO's rewards are the scores on the stored scale") {
  const temporary_directory folder;
  loaded_model model = load_model(demo_base());
  start_role(model, "reward", {}, config(settings{"adapter.kind=full"}), rng{1});
  model.bank->set_head("reward", 0.2 * random_tensor({1, model.bank->config().hidden_size}, 3), at::zeros({1}));
  save_role(model, "reward", folder / "reward");
  write_bytes(folder / "plain.txt", "{Output}\n{Input}\nscore:");
  write_bytes(folder / "prompts.jsonl", "\"user: why is the owl gray?\\ncoho:\"\n");
  const settings given{"model.path=" + demo_base().string(),
                       "ppo.reward_model=" + (folder / "reward").string(),
                       "ppo.prompts=" + (folder / "prompts.jsonl").string(),
                       "reward_prompt.plain_template=" + (folder / "plain.txt").string(),
                       "out=" + (folder / "ppo").string(),
                       "adapter.kind=full",
                       "ppo.shaping.unfinished_penalty=0",
                       "ppo.save_every=0",
                       "ppo.steps=1",
                       "ppo.rollouts=4",
                       "ppo.normalization.from=reward_model",
                       "generation.max_new_tokens=4"};
  CHECK_THROWS_WITH(run_stage(run_ppo, given), ContainsSubstring("saved without its scale"));
  write_reward_statistics(folder / "reward",
                          {"held-out pairs", {.scores = 8, .mean = 3, .deviation = 0.25, .minimum = 2, .maximum = 4}});
  run_stage(run_ppo, given);
  const double score = metric_curve(folder / "ppo", "score").at(0).second;
  CHECK(metric_curve(folder / "ppo", "reward").at(0).second == Approx((score - 3) / 0.25));
}
