#include <algorithm>
#include <limits>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "jsonl/jsonl.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "observe/metrics_log.hpp"
#include "rollouts/rl_prompts.hpp"
#include "settings/ppo_settings.hpp"
#include "support/ppo_runs.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

double largest_of(const std::filesystem::path& out, const std::string& name) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const auto& point : metric_curve(out, name)) largest = std::max(largest, point.second);
  return largest;
}

// Mean response length of the first step and of the last two.
std::pair<double, double> lengths_under(const std::string& coefficient) {
  const temporary_directory folder;
  const settings lengths{"ppo.rollouts=32",
                         "ppo.minibatch_size=16",
                         "ppo.steps=6",
                         "ppo.shaping.kl_coefficient=0",
                         "ppo.learning_rate.peak=2e-3",
                         "ppo.length_bonus.coefficient=" + coefficient};
  run_stage(run_ppo, reinforcing(folder, "ppo") + lengths);
  const auto length = metric_curve(folder / "ppo", "length"), reward = metric_curve(folder / "ppo", "reward"),
             empty = metric_curve(folder / "ppo", "reward/empty");  // a malus makes empty replies the best but for this
  REQUIRE(length.size() == 6);
  for (std::size_t i = 0; i < length.size(); ++i)
    CHECK(reward[i].second - empty[i].second == Approx(std::stod(coefficient) * length[i].second / 24));
  CHECK(largest_of(folder / "ppo", "first_ratio_deviation") < 1e-5);
  CHECK(largest_of(folder / "ppo", "sampler_difference_max") < 1e-5);
  return {length.front().second, 0.5 * (length[4].second + length[5].second)};
}

}  // namespace

TEST_CASE("ppo: a bonus for length makes responses longer, a malus shorter") {
  const auto [before, longer] = lengths_under("4");
  const auto [again, shorter] = lengths_under("-4");
  // The first rollouts are the base's, whatever is rewarded.
  CHECK(before == again);
  CHECK(before < 20);
  CHECK(longer > before + 4);
  CHECK(shorter < before - 4);
}

TEST_CASE("ppo: strings that end a response count as unfinished, and are not shown") {
  const temporary_directory folder;
  const settings run{"ppo.rollouts=12",
                     "ppo.minibatch_size=6",
                     "ppo.steps=1",
                     "ppo.length_bonus.coefficient=1",
                     "ppo.evaluation.prompts=" + (folder / "prompts.jsonl").string(),
                     "ppo.evaluation.every=0"};
  run_stage(run_ppo, reinforcing(folder, "whole") + run);
  run_stage(run_ppo, reinforcing(folder, "cut") + run + settings{"ppo.unfinished_stops=[' is', ' the', '.']"});
  const auto first = [&](const std::string& out, const std::string& name) {
    return metric_curve(folder / out, name).front().second;
  };
  CHECK(first("whole", "unfinished") < 0.5);
  CHECK(first("cut", "unfinished") > first("whole", "unfinished") + 0.4);
  CHECK(first("cut", "length") < first("whole", "length"));
  const auto answers_hold = [&](const std::string& out, const std::string& word) {
    jsonl_reader samples(folder / out / "samples.jsonl");
    bool found = false;
    for (json sample; samples.next(sample);)
      found = found || (" " + sample.at("response").get<std::string>()).find(word) != std::string::npos;
    return found;
  };
  CHECK(answers_hold("whole", " is"));
  CHECK_FALSE(answers_hold("cut", " is"));
}

TEST_CASE("ppo: a run against a reward model that was interrupted equals one that was not") {
  const temporary_directory folder;
  const settings run = random_reward_model(folder) + settings{"ppo.rollouts=6",
                                                              "ppo.samples_per_prompt=2",
                                                              "ppo.minibatch_size=3",
                                                              "ppo.steps=8",
                                                              "ppo.save_every=2",
                                                              "ppo.adaptive_kl.target=0.5",
                                                              "ppo.normalization.samples=12",
                                                              "ppo.value_head=copy",
                                                              "generation.max_new_tokens=10"};
  run_stage(run_ppo, reinforcing(folder, "whole") + run);
  const auto parts = reinforcing(folder, "parts") + run;
  run_interrupted(run_ppo, parts, folder / "parts");
  CHECK_FALSE(std::filesystem::exists(folder / "parts" / "model.safetensors"));
  run_stage(run_ppo, parts, true);
  CHECK(read_bytes(folder / "parts" / "model.safetensors") == read_bytes(folder / "whole" / "model.safetensors"));
  for (const std::string name : {"reward", "kl", "kl_coefficient", "length", "value_loss", "explained_variance"})
    CHECK((metric_curve(folder / "parts", name) == metric_curve(folder / "whole", name)));
  CHECK_FALSE(std::filesystem::exists(folder / "parts" / "checkpoints"));

  CHECK(metric_curve(folder / "whole", "kl").front().second == Approx(0).margin(1e-4));
  CHECK(metric_curve(folder / "whole", "kl").back().second != Approx(0).margin(1e-4));
  CHECK(largest_of(folder / "whole", "first_ratio_deviation") < 1e-5);
  CHECK(largest_of(folder / "whole", "sampler_difference_max") < 1e-5);
}

TEST_CASE("ppo: measured normalization brings the first rewards to mean 0 and deviation 1") {
  const temporary_directory folder;
  const settings run =
      random_reward_model(folder) + settings{"ppo.rollouts=24", "ppo.steps=1", "generation.max_new_tokens=10"};
  run_stage(run_ppo, reinforcing(folder, "raw") + run);
  run_stage(run_ppo, reinforcing(folder, "measured") + run + settings{"ppo.normalization.samples=72"});
  const double score = metric_curve(folder / "raw", "score").at(0).second;
  CHECK(metric_curve(folder / "raw", "reward").at(0).second == Approx(score));
  CHECK(metric_curve(folder / "measured", "score").at(0).second == Approx(score));
  CHECK(std::abs(metric_curve(folder / "measured", "reward").at(0).second) < 0.6);
}

TEST_CASE("ppo: an empty response earns what the worst answer of its step does, in training and evaluation") {
  const temporary_directory folder;
  std::string held_out;
  for (int i = 0; i < 24; ++i) held_out += "{\"prompt\":\"user: what color is the fox?\\ncoho:\"}\n";
  write_bytes(folder / "held_out.jsonl", held_out);
  // Replies that begin with "the" are over before they say anything.
  const settings run =
      random_reward_model(folder) + settings{"prompt.stop=[\" t\"]", "ppo.rollouts=24", "ppo.steps=1",
                                             "ppo.shaping.unfinished_penalty=-2",
                                             "ppo.evaluation.prompts=" + (folder / "held_out.jsonl").string()};
  run_stage(run_ppo, reinforcing(folder, "lowest") + run);
  run_stage(run_ppo, reinforcing(folder, "scored") + run + settings{"ppo.empty_responses=scored"});
  const auto first = [&](const char* out, const char* name) { return metric_curve(folder / out, name).at(0).second; };
  const double empty = first("lowest", "empty"), unfinished = first("lowest", "unfinished");
  CHECK(empty > 0);
  CHECK(empty < 1);
  CHECK(first("scored", "empty") == empty);
  CHECK(first("scored", "reward") == Approx(first("scored", "score")));
  CHECK(metric_curve(folder / "scored", "reward/empty").empty());
  CHECK(first("scored", "reward/unfinished") == Approx(-2 * unfinished));
  CHECK(first("lowest", "reward") == Approx(first("lowest", "score") + first("lowest", "reward/empty")));
  CHECK(std::abs(first("lowest", "reward/empty")) > 1e-4);
  CHECK(first("lowest", "reward/unfinished") == Approx(-2 * (unfinished + empty)));

  std::vector<json> lines;
  jsonl_reader reader(folder / "lowest" / "samples.jsonl");
  for (json line; reader.next(line);)
    if (line.at("step") == 0) lines.push_back(line);
  REQUIRE(lines.size() == 24);
  double worst = std::numeric_limits<double>::infinity(), sum = 0, blank = 0;
  for (const auto& line : lines)
    if (line.at("response") != "") worst = std::min(worst, line.at("score").get<double>());
  for (const auto& line : lines) {
    const bool none = line.at("response") == "";
    blank += none;
    sum += (none ? worst : line.at("score").get<double>()) - (none || !line.at("finished").get<bool>() ? 2 : 0);
  }
  CHECK(blank > 0);
  CHECK(first("lowest", "eval/empty") == Approx(blank / 24));
  CHECK(first("lowest", "eval/reward") == Approx(sum / 24));
}

TEST_CASE("ppo: a value model that would start from whole weights is not trained as an adapter") {
  const temporary_directory folder;
  CHECK_THROWS_WITH(
      run_stage(run_ppo, reinforcing(folder, "out") + random_reward_model(folder) + settings{"adapter.kind=lora"}),
      Catch::Matchers::ContainsSubstring("holds whole weights"));
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("ppo: an adapter is trained and saved as one") {
  const temporary_directory folder;
  run_stage(run_ppo, reinforcing(folder, "ppo") + settings{"adapter.kind=lora", "adapter.rank=4", "ppo.rollouts=4",
                                                           "ppo.steps=2", "ppo.length_bonus.coefficient=1"});
  loaded_model model = load_model(demo_base());
  load_role(model, "policy", folder / "ppo");
  load_role(model, "base", {});
  const std::vector<token> tokens{1, 5, 6, 7};
  CHECK(largest_difference(logits_of(*model.bank, "policy", tokens), logits_of(*model.bank, "base", tokens)) > 1e-4);
  CHECK(std::filesystem::exists(folder / "ppo" / "config.toml"));
}

TEST_CASE("ppo: what cannot be run is refused before a folder is made") {
  const temporary_directory folder;
  const auto given = reinforcing(folder, "out");
  CHECK_THROWS_WITH(run_stage(run_ppo, given + settings{"ppo.reward_model=" + demo_base().string()}),
                    Catch::Matchers::ContainsSubstring("no reward model"));
  CHECK_THROWS_AS(run_stage(run_ppo, given + settings{"ppo.rollouts=5", "ppo.samples_per_prompt=2"}), option_error);
  CHECK_THROWS_AS(run_stage(run_ppo, given + settings{"ppo.steps=0"}), config_error);
  CHECK_THROWS_AS(run_stage(run_ppo, given + settings{"ppo.policy_clip.clip_low=-1"}), config_error);
  CHECK_THROWS_AS(run_stage(run_ppo, given + settings{"generation.max_new_tokens=0"}), config_error);
  CHECK_THROWS_WITH(run_stage(run_ppo, given + settings{"ppo.kl_coeficient=1"}),
                    Catch::Matchers::ContainsSubstring("ppo.shaping.kl_coefficient"));
  const settings rewarded = given + settings{"ppo.length_bonus.coefficient=1"};
  write_bytes(folder / "prompts.jsonl", "");
  CHECK_THROWS_AS(run_stage(run_ppo, rewarded), file_error);
  std::filesystem::remove(folder / "prompts.jsonl");
  CHECK_THROWS_AS(run_stage(run_ppo, rewarded), file_error);
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("ppo: a run with nothing to learn from, or with a guideline that nobody reads, is refused") {
  const temporary_directory folder;
  const auto given = reinforcing(folder, "ppo");
  const auto refused = [&](const settings& more, const char* key) {
    CHECK_THROWS_WITH(run_stage(run_ppo, given + more), Catch::Matchers::ContainsSubstring(key));
    CHECK_FALSE(std::filesystem::exists(folder / "ppo"));
  };
  refused({}, "ppo.reward_model");
  refused({"ppo.length_bonus.coefficient=1", "ppo.principles=reinforcement"}, "ppo.principles");
  refused(random_reward_model(folder) + settings{"ppo.use_interventions=Modest"}, "ppo.use_interventions");
  refused({"ppo.length_bonus.coefficient=1", "generation.temperature=0"}, "generation.temperature");
  refused({"ppo.length_bonus.coefficient=1", "generation.top_p=0.9"}, "generation.top_p");
}

TEST_CASE("ppo: a start that fails on a file leaves an interrupted run as it was") {
  const temporary_directory folder;
  const settings run = random_reward_model(folder) +
                       settings{"ppo.rollouts=3", "ppo.steps=9", "ppo.save_every=1", "generation.max_new_tokens=4"};
  run_interrupted(run_ppo, reinforcing(folder, "out") + run, folder / "out");
  const auto recipe = read_bytes(folder / "out" / "config.toml");
  const auto refused = [&](const settings& more, const char* message) {
    CHECK_THROWS_WITH(run_stage(run_ppo, reinforcing(folder, "out") + run + more),
                      Catch::Matchers::ContainsSubstring(message));
    CHECK(std::filesystem::exists(folder / "out" / "checkpoints"));
    CHECK(read_bytes(folder / "out" / "config.toml") == recipe);
  };
  refused({"ppo.normalization.from=reward_model"}, "reward_statistics.json");
  write_bytes(folder / "out" / "samples.jsonl", "{\"instruction\":\"a\"}\n");
  refused({"ppo.evaluation.prompts=" + (folder / "prompts.jsonl").string()}, "was written by no evaluation");
  refused({"ppo.policy=" + (folder / "out").string()}, "another folder");
}

TEST_CASE("ppo: dropout is off, so that the first minibatch's ratio is 1 in every step") {
  const temporary_directory folder;
  run_stage(run_ppo,
            reinforcing(folder, "ppo") + settings{"adapter.kind=lora", "adapter.rank=4", "adapter.dropout=0.3",
                                                  "ppo.rollouts=4", "ppo.minibatch_size=4", "ppo.steps=4",
                                                  "ppo.learning_rate.peak=3e-3", "ppo.length_bonus.coefficient=4"});
  REQUIRE(metric_curve(folder / "ppo", "first_ratio_deviation").size() == 4);
  CHECK(largest_of(folder / "ppo", "first_ratio_deviation") < 1e-5);
  // The weights did move.
  CHECK(largest_of(folder / "ppo", "kl") > 1e-4);
}

TEST_CASE("ppo: prompts beyond the limit are left out and counted, or cut where asked for") {
  const loaded_model model = load_model(demo_base());
  const auto length = [&](const std::string& text) { return model.tokenizer->encode(text).size() + 1; };
  const std::string brief = "why?", wordy = "user: why is the owl gray? the owl is gray. the fox is red.\ncoho:";
  REQUIRE(length(brief) + 4 < length(wordy));
  const std::size_t limit = length(brief) + 2;
  const config options(settings{"prompt.max_tokens=" + std::to_string(limit)});
  stage_context context("ppo", options, false, false, true);
  const prompter prompts = make_prompter(options, model);
  const std::vector<prompt_record> records{{.instruction = wordy}, {.instruction = brief}, {.instruction = wordy}};
  const auto dropped = handle_long_prompts(records, prompts, true, "p.jsonl", context);
  REQUIRE(dropped.size() == 1);
  CHECK(dropped[0].instruction == brief);
  CHECK((handle_long_prompts(records, prompts, false, "p.jsonl", context) == records));
  CHECK_THROWS_WITH(
      handle_long_prompts({records[0]}, prompts, true, "p.jsonl", context),
      Catch::Matchers::ContainsSubstring("p.jsonl") && Catch::Matchers::ContainsSubstring("ppo.long_prompts"));

  const temporary_directory folder;
  const settings run{"prompt.max_tokens=" + std::to_string(limit), "ppo.rollouts=2", "ppo.steps=1",
                     "ppo.length_bonus.coefficient=1"};
  CHECK_THROWS_AS(run_stage(run_ppo, reinforcing(folder, "out") + run), file_error);
  CHECK_THROWS_AS(run_stage(run_ppo, reinforcing(folder, "out") + run + settings{"ppo.long_prompts=keep"}),
                  config_error);
  run_stage(run_ppo, reinforcing(folder, "out") + run + settings{"ppo.long_prompts=cut"});
}
