#include "evaluation/ppo_evaluation.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <ATen/Parallel.h>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "files/json_file.hpp"
#include "models/reward_model_role.hpp"
#include "support/ppo_recipes.hpp"
#include "support/ppo_runs.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {
namespace fs = std::filesystem;

const std::vector<std::string> held_out{
    "user: what color is the owl?\ncoho:", "user: tell me about the fox.\ncoho:", "user: why is the cat gray?\ncoho:"};

// Three prompts held out, the second of them a reasoning one.
settings evaluated(const temporary_directory& folder) {
  write_bytes(folder / "held_out.jsonl", R"({"prompt":"user: what color is the owl?\ncoho:"}
{"prompt":"user: tell me about the fox.\ncoho:","question_type":1}
{"prompt":"user: why is the cat gray?\ncoho:"}
)");
  return {"ppo.evaluation.prompts=" + (folder / "held_out.jsonl").string(), "ppo.evaluation.every=2"};
}

// A reward model that reads two principles and an intervention, and an adapter with dropout to train.
settings guided(const temporary_directory& folder) {
  write_bytes(folder / "template.txt", "reply: {Output}\nuser: {Input}\nrules:\n{Dimensions}\nscore:");
  write_bytes(
      folder / "principles.json",
      R"([{"dimension":"Concise","definition":"give brevity."},{"dimension":"Honest","definition":"show doubt."}])");
  write_bytes(folder / "interventions.json", R"([{"dimension":"Modest","definition":"avoid charm."}])");
  return random_reward_model(folder) + settings{"reward_prompt.template=" + (folder / "template.txt").string(),
                                                "ppo.principles=" + (folder / "principles.json").string(),
                                                "ppo.principles_per_prompt=1",
                                                "ppo.interventions=" + (folder / "interventions.json").string(),
                                                "ppo.rollouts=6",
                                                "ppo.minibatch_size=3",
                                                "ppo.steps=4",
                                                "ppo.normalization.samples=6",
                                                "generation.max_new_tokens=8",
                                                "ppo.shaping.unfinished_penalty=-2",
                                                "ppo.length_bonus.coefficient=1",
                                                "ppo.language_bonus=0.5"};
}

using curves = std::map<std::string, curve>;

curves curves_of(const fs::path& out) {
  const auto all = metrics_log::read(out);
  curves found(all.begin(), all.end());
  std::erase_if(found, [](const auto& one) { return one.first.find("second") != std::string::npos; });
  return found;
}

std::vector<json> samples_of(const fs::path& out) {
  std::vector<json> lines;
  jsonl_reader reader(out / "samples.jsonl");
  for (json line; reader.next(line);) lines.push_back(line);
  return lines;
}

std::vector<std::int64_t> steps_of(const curve& points) {
  std::vector<std::int64_t> out;
  for (const auto& point : points) out.push_back(point.first);
  return out;
}

double mean_of(const std::vector<json>& lines, std::uint64_t step, const std::function<double(const json&)>& number) {
  double sum = 0, count = 0;
  for (const auto& line : lines) {
    if (line.at("step") != step) continue;
    sum += number(line);
    ++count;
  }
  return sum / count;
}

// Runs the stage and interrupts it, as SIGINT does, once a file or folder is there.
void run_until(const settings& given, const fs::path& there) {
  const struct all_clear {
    ~all_clear() { set_interrupted(false); }
  } afterwards;
  std::jthread user([&](const std::stop_token& over) {
    while (!over.stop_requested() && !fs::exists(there)) std::this_thread::sleep_for(std::chrono::microseconds(100));
    set_interrupted(true);
  });
  CHECK_THROWS_AS(run_stage(run_ppo, given), interrupted_error);
}

}  // namespace

TEST_CASE("ppo evaluation: measures and samples, by the stage's files; what is trained is the same without") {
  const temporary_directory folder;
  const settings run = guided(folder);
  run_stage(run_ppo, reinforcing(folder, "plain") + run);
  run_stage(run_ppo, reinforcing(folder, "out") + run + evaluated(folder));

  const auto plain = curves_of(folder / "plain");
  auto all = curves_of(folder / "out");
  CHECK(read_bytes(folder / "out" / "model.safetensors") == read_bytes(folder / "plain" / "model.safetensors"));
  for (const auto& [name, points] : plain) CHECK((all.at(name) == points));
  for (const char* made : {"samples.jsonl", "best"}) CHECK_FALSE(fs::exists(folder / "plain" / made));

  std::set<std::string> added;
  for (const auto& [name, points] : all) {
    if (plain.contains(name)) continue;
    added.insert(name);
    CHECK(steps_of(points) == std::vector<std::int64_t>{0, 2, 4});
  }
  std::set<std::string> expected{"eval/principle/Concise", "eval/principle/Honest", "eval/intervention/Modest"};
  for (const std::string measure : {"reward", "score", "length", "unfinished", "empty", "kl", "language_match"})
    for (const std::string type : {"", "/general", "/reasoning"}) expected.insert("eval/" + measure + type);
  CHECK(added == expected);

  const auto lines = samples_of(folder / "out");
  REQUIRE(lines.size() == 9);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string keys;
    for (const auto& [key, value] : lines[i].items()) keys += key + " ";
    CHECK(keys == "step prompt type response score finished language_match ");
    CHECK(lines[i].at("step") == i / 3 * 2);
    CHECK(lines[i].at("prompt") == held_out[i % 3]);
    CHECK(lines[i].at("type") == (i % 3 == 1 ? "reasoning" : "general"));
  }
  for (std::size_t k = 0; k < 3; ++k) {
    const auto mean = [&](const auto& number) { return Approx(mean_of(lines, 2 * k, number)); };
    CHECK(all.at("eval/score")[k].second == mean([](const json& line) { return line.at("score").get<double>(); }));
    CHECK(all.at("eval/unfinished")[k].second == mean([](const json& line) { return line.at("finished") ? 0 : 1; }));
    CHECK(all.at("eval/empty")[k].second == mean([](const json& line) { return line.at("response") == "" ? 1 : 0; }));
    CHECK(all.at("eval/language_match")[k].second ==
          mean([](const json& line) { return line.at("language_match") ? 1 : 0; }));
    CHECK(all.at("eval/reward/general")[k].second * 2 / 3 + all.at("eval/reward/reasoning")[k].second / 3 ==
          Approx(all.at("eval/reward")[k].second));
  }
  CHECK(all.at("eval/kl")[0].second == Approx(0).margin(1e-4));
  CHECK(std::abs(all.at("eval/kl")[2].second) > 1e-4);
  CHECK(all.at("eval/length")[0].second <= 8);
  std::string events;
  for (const auto& file : fs::directory_iterator(folder / "out" / "tensorboard")) events += read_bytes(file.path());
  CHECK_THAT(events, ContainsSubstring("eval/samples"));
  CHECK_THAT(events, ContainsSubstring("user: tell me about the fox.<br>coho:"));
  // The parts of training's reward add up to it, but for the penalty, which is added where it is shaped.
  for (std::size_t k = 0; k < 4; ++k)
    CHECK(all.at("reward")[k].second - all.at("reward/language")[k].second - all.at("reward/length")[k].second ==
          Approx(all.at("reward/score")[k].second + all.at("reward/empty")[k].second));
  CHECK(all.at("reward/unfinished")[0].second ==
        Approx(-2 * (all.at("unfinished")[0].second + all.at("empty")[0].second)));
}

TEST_CASE("ppo evaluation: each principle's mean is the reward model's score under it alone") {
  const temporary_directory folder;
  const settings given = reinforcing(folder, "out") + guided(folder) + evaluated(folder) +
                         settings{"ppo.steps=1", "ppo.evaluation.principle_prompts=2"};
  run_stage(run_ppo, given);
  const auto lines = samples_of(folder / "out");
  loaded_model model = load_model(demo_base());
  load_role(model, "reward", folder / "reward");
  reward_role judge = make_reward_role(model, "reward", config(given), "ppo");
  const auto scored = [&](std::size_t prompt, std::vector<std::string> guideline) {
    const std::string question = lines[prompt].at("prompt"), response = lines[prompt].at("response");
    return judge.score(std::vector<reward_query>{{.prompt = question, .response = response, .principles = guideline}})
        .at(0);
  };
  const auto first_of = [&](const std::string& name) { return metric_curve(folder / "out", name).at(0).second; };
  CHECK(first_of("eval/principle/Concise") ==
        Approx((scored(0, {"give brevity."}) + scored(1, {"give brevity."})) / 2).margin(1e-5));
  CHECK(first_of("eval/principle/Honest") ==
        Approx((scored(0, {"show doubt."}) + scored(1, {"show doubt."})) / 2).margin(1e-5));
  CHECK(first_of("eval/intervention/Modest") ==
        Approx((scored(0, {"avoid charm."}) + scored(1, {"avoid charm."})) / 2).margin(1e-5));
  CHECK(std::abs(first_of("eval/principle/Concise") - first_of("eval/principle/Honest")) > 1e-4);
  // The full guideline: the intervention first, then the one principle drawn.
  for (std::size_t i = 0; i < 3; ++i) {
    const double score = lines[i].at("score");
    CHECK((score == Approx(scored(i, {"avoid charm.", "give brevity."})).margin(1e-5) ||
           score == Approx(scored(i, {"avoid charm.", "show doubt."})).margin(1e-5)));
  }
}

TEST_CASE("ppo evaluation: two ranks share the prompts and find what one finds; the first writes") {
  const temporary_directory folder;
  const settings given = reinforcing(folder, "out") + guided(folder) + evaluated(folder);
  const auto evaluate = [&](auto& ranks, const std::string& out) {
    const config options(given);
    stage_context context("ppo", options, false, false, true);
    at::set_num_threads(1);
    loaded_model model = load_model(demo_base());
    load_role(model, "reference", {});
    load_role(model, "policy", {});
    load_role(model, "reward", folder / "reward");
    reward_role judge = make_reward_role(model, "reward", options, "ppo");
    const prompter prompts = make_prompter(options, model);
    const ppo_options run = read_ppo_options(options, context, prompts.stop(), 1);
    const config section = options.section("ppo");
    const guideline_source guidelines = read_guidelines(section);
    const reward_parts parts(run, read_bonus(section, 8), true);
    const auto evaluated = read_ppo_evaluation_settings(section, run.generation, {});
    const policy_role_options sampling{
        .banned = model.banned_tokens(), .end_tokens = model.end_tokens(), .token_texts = model.token_texts()};
    const evaluation_inputs training{model, &judge, prompts, parts, guidelines, sampling, run.generation, {}};
    auto held_out = evaluation_prompts(evaluated, prompts, guidelines, long_prompts::drop, context);
    ppo_evaluation evaluation(evaluated, std::move(held_out), training, folder / out, context);
    // A reward that is no number was written as null; whatever is one is better.
    evaluation.restore({{0, nullptr}, {1, -0.5}, {2, nullptr}, {3, -0.75}});
    if (evaluation.best() != std::pair{std::uint64_t{1}, -0.5}) throw error("NaN was taken for the best");
    metrics_log log({});
    evaluation.run(0, log, ranks);
    auto curves = log.curves();
    std::erase_if(curves, [](const auto& one) { return one.first == "eval/seconds"; });
    return curves;
  };
  fs::create_directories(folder / "one");
  const auto alone = evaluate(local, "one");
  // More ranks than prompts: the fourth has nothing to answer.
  for (const std::size_t count : {2, 4}) {
    const std::string out = "of_" + std::to_string(count);
    fs::create_directories(folder / out);
    std::vector found(count, alone);
    run_ranks(count, [&](auto& ranks) {
      const auto curves = evaluate(ranks, ranks.rank() == 0 ? out : "nowhere");
      found[ranks.rank()] = curves;
    });
    for (const auto& curves : found) {
      REQUIRE(curves.size() == alone.size());
      for (std::size_t i = 0; i < alone.size(); ++i) {
        CHECK(curves[i].first == alone[i].first);
        CHECK(curves[i].second[0].second == Approx(alone[i].second[0].second).margin(1e-5));
      }
    }
    CHECK(fs::exists(folder / out / "best" / "evaluation.json"));
    const auto lines = samples_of(folder / out), expected = samples_of(folder / "one");
    REQUIRE(lines.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(lines[i].at("prompt") == expected[i].at("prompt"));
      CHECK(lines[i].at("response") == expected[i].at("response"));
    }
  }
  CHECK_FALSE(fs::exists(folder / "nowhere"));
}

TEST_CASE("ppo evaluation: a run that was interrupted has the evaluations of one that was not, each once") {
  const temporary_directory folder;
  const settings run = guided(folder) + evaluated(folder) +
                       settings{"adapter.kind=lora",           "adapter.rank=2",  "adapter.dropout=0.1",
                                "ppo.reward_model=",           "ppo.principles=", "ppo.interventions=",
                                "ppo.normalization.samples=0", "ppo.steps=7",     "ppo.save_every=2"};
  run_stage(run_ppo, reinforcing(folder, "plain") + run + settings{"ppo.evaluation.prompts="});
  run_stage(run_ppo, reinforcing(folder, "whole") + run);
  const auto parts = reinforcing(folder, "parts") + run;
  run_interrupted(run_ppo, parts, folder / "parts");
  // What a killed run had written past its last checkpoint.
  write_bytes(folder / "parts" / "samples.jsonl",
              read_bytes(folder / "parts" / "samples.jsonl") + "{\"step\":100,\"prompt\":\"left behind\"}\n");
  run_stage(run_ppo, parts, true);

  for (const fs::path file : {"adapter_model.safetensors", "samples.jsonl", "best/adapter_model.safetensors",
                              "best/adapter_config.json", "best/evaluation.json"})
    CHECK(read_bytes(folder / "parts" / file) == read_bytes(folder / "whole" / file));
  CHECK((curves_of(folder / "parts") == curves_of(folder / "whole")));
  CHECK(steps_of(metric_curve(folder / "whole", "eval/reward")) == std::vector<std::int64_t>{0, 2, 4, 6, 7});
  // Interrupted after the evaluation before the first step.
  run_until(reinforcing(folder, "early") + run, folder / "early" / "samples.jsonl");
  run_stage(run_ppo, reinforcing(folder, "early") + run, true);
  CHECK(read_bytes(folder / "early" / "samples.jsonl") == read_bytes(folder / "whole" / "samples.jsonl"));
  CHECK((curves_of(folder / "early") == curves_of(folder / "whole")));
  // Dropout draws for each forward pass of training: evaluations have none.
  CHECK(read_bytes(folder / "plain" / "adapter_model.safetensors") ==
        read_bytes(folder / "whole" / "adapter_model.safetensors"));
}

TEST_CASE("ppo evaluation: the best policy is kept, and training goes on from its own") {
  const temporary_directory folder;
  const settings run = evaluated(folder) + settings{"ppo.rollouts=24", "ppo.steps=5", "ppo.shaping.kl_coefficient=0",
                                                    "ppo.learning_rate.peak=2e-3", "ppo.length_bonus.coefficient=4"};
  run_stage(run_ppo, reinforcing(folder, "out") + run);
  const auto reward = metric_curve(folder / "out", "eval/reward");
  const auto best = std::ranges::max_element(reward, {}, [](const auto& point) { return point.second; });
  const auto about = read_json(folder / "out" / "best" / "evaluation.json");
  CHECK(about.at("step") == best->first);
  CHECK(about.at("reward").get<double>() == best->second);
  CHECK(best->first > 0);
  CHECK_FALSE(fs::exists(folder / "out" / "best.unfinished"));
  // A run of as many steps ends with those weights.
  run_stage(run_ppo, reinforcing(folder, "short") + run + settings{"ppo.steps=" + std::to_string(best->first)});
  CHECK(read_bytes(folder / "short" / "model.safetensors") ==
        read_bytes(folder / "out" / "best" / "model.safetensors"));
  loaded_model model = load_model(demo_base());
  CHECK_NOTHROW(load_role(model, "policy", folder / "out" / "best"));

  // A run anew in that folder leaves nothing of the old one.
  run_stage(run_ppo, reinforcing(folder, "out") + run + settings{"ppo.steps=1", "ppo.evaluation.keep_best=false"});
  CHECK_FALSE(fs::exists(folder / "out" / "best"));
  CHECK(samples_of(folder / "out").size() == 6);

  // What others called so stays: `coho sample` writes samples.jsonl too.
  fs::create_directories(folder / "mine" / "best");
  const settings mine = reinforcing(folder, "mine") + run;
  CHECK_THROWS_WITH(run_stage(run_ppo, mine), ContainsSubstring("best: was written by no evaluation"));
  fs::remove(folder / "mine" / "best");
  write_bytes(folder / "mine" / "samples.jsonl", "{\"instruction\":\"a\"}\n");
  CHECK_THROWS_WITH(run_stage(run_ppo, mine), ContainsSubstring("samples.jsonl: was written by no evaluation"));
  run_stage(run_ppo, mine + settings{"ppo.steps=1", "ppo.evaluation.prompts="});
  CHECK(read_bytes(folder / "mine" / "samples.jsonl") == "{\"instruction\":\"a\"}\n");
}

TEST_CASE("ppo evaluation: without anything better the run ends when patience does") {
  const temporary_directory folder;
  run_stage(run_ppo, reinforcing(folder, "out") + evaluated(folder) +
                         settings{"ppo.rollouts=3", "ppo.steps=9", "ppo.learning_rate.peak=0", "ppo.evaluation.every=1",
                                  "ppo.evaluation.patience=3", "ppo.length_bonus.coefficient=1"});
  const auto reward = metric_curve(folder / "out", "eval/reward");
  CHECK(steps_of(reward) == std::vector<std::int64_t>{0, 1, 2, 3});
  // The same draws each time: a policy that does not change is measured alike.
  for (const auto& point : reward) CHECK(point.second == reward[0].second);
  CHECK(metric_curve(folder / "out", "reward").size() == 3);
  CHECK(read_json(folder / "out" / "best" / "evaluation.json").at("step") == 0);
  CHECK(fs::exists(folder / "out" / "model.safetensors"));
}

TEST_CASE("ppo evaluation: a run that goes too far from its reference ends, resumed or not") {
  const temporary_directory folder;
  const settings run = evaluated(folder) + settings{"ppo.rollouts=12",
                                                    "ppo.steps=9",
                                                    "ppo.shaping.kl_coefficient=0",
                                                    "ppo.learning_rate.peak=2e-3",
                                                    "ppo.length_bonus.coefficient=4",
                                                    "ppo.stop_kl=0.5",
                                                    "ppo.evaluation.every=0"};
  run_stage(run_ppo, reinforcing(folder, "out") + run);
  const auto kl = metric_curve(folder / "out", "kl");
  REQUIRE(kl.size() < 9);
  CHECK(kl.back().second > 0.5);
  for (std::size_t i = 0; i + 1 < kl.size(); ++i) CHECK(kl[i].second <= 0.5);
  const auto steps = static_cast<std::int64_t>(kl.size());
  CHECK(steps_of(metric_curve(folder / "out", "eval/reward")) == std::vector<std::int64_t>{0, steps});

  // A kill between the last step's checkpoint and the result: the resumed run trains no further.
  const settings again = reinforcing(folder, "again") + run + settings{"ppo.save_every=1"};
  run_until(again, folder / "again" / "checkpoints" / ("step-0000000" + std::to_string(steps)));
  run_stage(run_ppo, again, true);
  CHECK((metric_curve(folder / "again", "kl") == kl));
  CHECK(read_bytes(folder / "again" / "model.safetensors") == read_bytes(folder / "out" / "model.safetensors"));
}

TEST_CASE("ppo evaluation: greedy, shorter and of the first prompts where the section says so") {
  const temporary_directory folder;
  run_stage(run_ppo, reinforcing(folder, "out") + evaluated(folder) +
                         settings{"ppo.rollouts=3", "ppo.steps=1", "ppo.length_bonus.coefficient=1",
                                  "ppo.evaluation.temperature=0", "ppo.evaluation.max_new_tokens=3",
                                  "ppo.evaluation.limit=1", "ppo.evaluation.samples=0"});
  CHECK(samples_of(folder / "out").size() == 2);
  CHECK(metric_curve(folder / "out", "eval/length").at(0).second <= 3);
  CHECK(metric_curve(folder / "out", "eval/reward").at(0).second ==
        Approx(metric_curve(folder / "out", "eval/length").at(0).second / 24));
  CHECK(metric_curve(folder / "out", "eval/score").empty());
  CHECK(metric_curve(folder / "out", "eval/reward/general").empty());
}

TEST_CASE("ppo evaluation: what cannot be evaluated is refused before a folder is made") {
  const temporary_directory folder;
  const settings given = reinforcing(folder, "out") + evaluated(folder) + settings{"ppo.length_bonus.coefficient=1"};
  const auto refused = [&](const settings& more, const char* key) {
    CHECK_THROWS_WITH(run_stage(run_ppo, given + more), ContainsSubstring(key));
    CHECK_FALSE(fs::exists(folder / "out"));
  };
  refused({"ppo.evaluation.limit=0"}, "ppo.evaluation.limit");
  refused({"ppo.evaluation.temperature=-1"}, "ppo.evaluation.temperature");
  refused({"ppo.evaluation.max_new_tokens=0"}, "ppo.evaluation.max_new_tokens");
  refused({"ppo.evaluation.evry=1"}, "ppo.evaluation.every");
  refused({"ppo.stop_kl=-1"}, "ppo.stop_kl");
  refused({"ppo.evaluation.prompts=" + (folder / "none.jsonl").string()}, "none.jsonl");
  write_bytes(folder / "held_out.jsonl", "{\"color\": \"red\"}\n");
  refused({}, "held_out.jsonl");
  CHECK_THROWS_WITH(run_stage(run_ppo, reinforcing(folder, "out") +
                                           settings{"ppo.length_bonus.coefficient=1", "ppo.evaluation.every=5"}),
                    ContainsSubstring("ppo.evaluation.prompts"));
  // The folder of the best policy is emptied by a new run: it cannot be what that run starts from.
  fs::create_directories(folder / "run" / "best");
  CHECK_THROWS_WITH(
      run_stage(run_ppo, reinforcing(folder, "run") + settings{"ppo.length_bonus.coefficient=1",
                                                               "ppo.policy=" + (folder / "run" / "best").string()}),
      ContainsSubstring("another folder"));
  CHECK(fs::exists(folder / "run" / "best"));
}
