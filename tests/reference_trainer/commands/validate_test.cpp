#include "commands/validate.hpp"

#include <iostream>
#include <sstream>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "demo/demo.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<subcommand> stages() {
  return {make_prompts_command(), make_self_align_command(), make_sft_command(),
          make_sample_command(),  make_judge_command(),      make_aggregate_command(),
          make_reward_command(),  make_ppo_command(),        make_eval_command()};
}

/// What is wrong with the first stage that cannot be run with a recipe of this text; empty: nothing.
std::string problem_of(const std::string& text) {
  const temporary_directory folder;
  write_bytes(folder / "r.toml", text);
  for (const auto& verdict : validate_recipe(folder / "r.toml", stages()))
    if (!verdict.problem.empty()) return verdict.problem;
  return {};
}

const std::string model = "[model]\npath = 'nowhere'\n";
const std::string ppo = "[ppo]\nprompts = 'p.jsonl'\nreward_model = 'rm'\n";

struct outcome {
  int code;
  std::string out, err;
};

outcome run(const std::vector<std::string>& words) {
  application program("coho", "test", "0");
  program.add_recipe_folder(source_dir() / "reference_trainer/recipes");
  for (auto& stage : stages()) program.add(stage);
  program.add(make_validate_command(program.subcommands()));
  std::vector<const char*> argv{"coho"};
  for (const auto& word : words) argv.push_back(word.c_str());
  std::ostringstream out, err;
  auto* const old_out = std::cout.rdbuf(out.rdbuf());
  auto* const old_err = std::cerr.rdbuf(err.rdbuf());
  const int code = program.run(static_cast<int>(argv.size()), argv.data());
  std::cout.rdbuf(old_out);
  std::cerr.rdbuf(old_err);
  return {code, out.str(), err.str()};
}

outcome run_validate(std::vector<std::string> recipes) {
  recipes.insert(recipes.begin(), "validate");
  return run(recipes);
}

// "== ppo … peak of a device: 68.4 GiB = …": the figure in GiB.
double peak_of(const std::string& plans, const std::string& stage) {
  const std::string before = "\npeak of a device: ";
  return std::stod(plans.substr(plans.find(before, plans.find("== " + stage + "\n")) + before.size()));
}

}  // namespace

TEST_CASE("validate: every shipped recipe can be run, all of its stages") {
  for (const std::string name : {"dromedary-2-7b", "dromedary-2-13b", "dromedary-2-70b", "appendix-a-helpful",
                                 "appendix-a-honest", "appendix-a-harmless", "non-evasive", "mistral-7b"}) {
    CAPTURE(name);
    const auto verdicts = validate_recipe(source_dir() / "reference_trainer/recipes" / (name + ".toml"), stages());
    std::vector<std::string> seen;
    for (const auto& verdict : verdicts) {
      CAPTURE(verdict.stage);
      CHECK(verdict.problem == "");
      CHECK_FALSE(verdict.missing.empty());  // no recipe brings its data
      for (const auto& file : verdict.missing) CHECK_THAT(file, !ContainsSubstring("model.config"));  // a shipped shape
      seen.push_back(verdict.stage);
    }
    const std::vector<std::string> all{"prompts --rl", "prompts",   "self-align",        "sft",    "sample",
                                       "judge",        "aggregate", "reward --pretrain", "reward", "ppo"};
    CHECK(seen == all);
  }
}

TEST_CASE("validate: a misspelt key of any stage is found with its file and line") {
  CHECK(problem_of(model + ppo) == "");
  const auto problem = problem_of(model + ppo + "kl_coeficient = 0.1\n");
  CHECK_THAT(problem, ContainsSubstring("r.toml:6"));
  CHECK_THAT(problem, ContainsSubstring("did you mean ppo.shaping.kl_coefficient?"));
  CHECK_THAT(problem_of(model + "quantise = 'nf4'\n" + ppo), ContainsSubstring("did you mean model.quantize?"));
  CHECK_THAT(problem_of(model + "[sft]\ndata = 'd'\nmicro_batch_token = 3\n"), ContainsSubstring("r.toml:5"));
  CHECK_THAT(problem_of(model + "[sample]\nprompts = 'd'\nresponse = 3\n"), ContainsSubstring("sample.responses"));
  CHECK_THAT(problem_of(model + "[judge]\nsamples = 'd'\nbach = 3\n"), ContainsSubstring("judge.batch"));
  CHECK_THAT(problem_of("[aggregate]\njudgements = 'd'\nrepeat = 3\n"), ContainsSubstring("aggregate.repeats"));
  CHECK_THAT(problem_of(model + "[reward]\ndata = 'd'\nmargn = 3\n"), ContainsSubstring("reward.margin"));
  CHECK_THAT(problem_of(model + "[preference_pretraining]\ndata = 'd'\nmargn = 3\n"),
             ContainsSubstring("preference_pretraining.margin"));
  CHECK_THAT(problem_of("[prompts]\ntokenizer = 't'\n[[prompts.source]]\nname = 'a'\npath = 'p'\ncuont = 1\n"),
             ContainsSubstring("r.toml:6: unknown key prompts.source.a.cuont; did you mean prompts.source.a.count?"));
  CHECK_THAT(problem_of(model + "[rl_prompts]\nlanguage = 'en'\n[[rl_prompts.source]]\nname = 'a'\npath = 'p'\n"),
             ContainsSubstring("rl_prompts.languages"));
  CHECK_THAT(problem_of(model + "[eval]\ndata = 'd'\nreward_model = 'r'\nbatc = 1\n"), ContainsSubstring("eval.batch"));
}

TEST_CASE(
    "validate: data that are called as a shipped list is are missing all the same, and the shipped identity is not") {
  const temporary_directory folder;
  write_bytes(folder / "r.toml",
              model + "[sft]\ndata = ['self_align.jsonl', 'identity']\nidentity.name = 'A'\nidentity.maker = 'B'\n");
  const auto verdicts = validate_recipe(folder / "r.toml", stages());
  REQUIRE(verdicts.size() == 1);
  CHECK(verdicts[0].problem == "");
  CHECK(verdicts[0].missing == std::vector<std::string>{"model.path = nowhere", "sft.data = self_align.jsonl"});
}

TEST_CASE("validate: wrong types, choices and ranges are found with their file and line") {
  CHECK_THAT(problem_of(model + ppo + "steps = 'many'\n"), ContainsSubstring("r.toml:6: ppo.steps is a string"));
  CHECK_THAT(problem_of(model + ppo + "learning_rate.kind = 'cosin'\n"), ContainsSubstring("did you mean cosine?"));
  CHECK_THAT(problem_of(model + ppo + "optimizer.moments = '4bit'\n"),
             ContainsSubstring("r.toml:6: ppo.optimizer.moments"));
  CHECK_THAT(problem_of(model + ppo + "gae.gamma = 1.5\n"), ContainsSubstring("r.toml:6"));
  CHECK_THAT(problem_of(model + ppo + "gamma = 1.0\n"), ContainsSubstring("r.toml:6: ppo.gamma is now ppo.gae.gamma"));
  CHECK_THAT(problem_of(model + ppo + "kl_loss.clip = 1\n"), ContainsSubstring("r.toml:6: ppo.kl_loss.clip"));
  CHECK_THAT(problem_of(model + ppo + "rollouts = 7\nsamples_per_prompt = 2\n"),
             ContainsSubstring("r.toml:6: ppo.rollouts"));
  CHECK_THAT(problem_of(model + "recompute = 'all'\n" + ppo), ContainsSubstring("r.toml:3: model.recompute"));
  CHECK_THAT(problem_of(model + ppo + "[adapter]\nrank = 0\n"), ContainsSubstring("r.toml:7: adapter.rank"));
  CHECK_THAT(problem_of(model + ppo + "[adapter]\nrank_pattern = ['q_proj']\n"), ContainsSubstring("r.toml:7"));
  CHECK_THAT(problem_of(model + ppo + "[generation]\nslots = 0\n"), ContainsSubstring("r.toml:7: generation.slots"));
  CHECK_THAT(problem_of(model + "[sft]\ndata = 'd'\nepochs = 0\n"), ContainsSubstring("r.toml:5: sft.epochs"));
  CHECK_THAT(problem_of(model + "[reward]\ndata = 'd'\nloss.label_smoothing = 2.0\n"), ContainsSubstring("r.toml:5"));
  CHECK_THAT(problem_of("[aggregate]\njudgements = 'd'\nlabel_noise = 2.0\n"),
             ContainsSubstring("r.toml:3: aggregate.label_noise"));
  CHECK_THAT(problem_of("[ppo]\nprompts = 'p'\nreward_model = 'r'\n"), ContainsSubstring("model.path is not given"));
}

TEST_CASE("validate: templates and principles that are there are read, those that are not are told") {
  const temporary_directory folder;
  write_bytes(folder / "bad.txt", "no placeholder");
  write_bytes(folder / "r.toml", model + ppo + "principles = 'later.json'\n[reward_prompt]\ntemplate = 'later.txt'\n");
  const auto verdicts = validate_recipe(folder / "r.toml", stages());
  REQUIRE(verdicts.size() == 1);
  CHECK(verdicts[0].problem == "");
  const auto& missing = verdicts[0].missing;
  for (const std::string file : {"ppo.prompts = p.jsonl", "ppo.reward_model = rm", "ppo.principles = later.json",
                                 "reward_prompt.template = later.txt", "model.path = nowhere"})
    CHECK(std::find(missing.begin(), missing.end(), file) != missing.end());
  CHECK_THAT(problem_of(model + ppo + "[reward_prompt]\ntemplate = '" + (folder / "bad.txt").string() + "'\n"),
             ContainsSubstring("bad.txt"));
}

TEST_CASE("validate: one line a stage, and the recipes' exit status") {
  const temporary_directory folder;
  write_bytes(folder / "good.toml", model + ppo);
  write_bytes(folder / "bad.toml", model + ppo + "[sample]\nprompts = 'p'\nbatch = 0\n");
  write_bytes(folder / "empty.toml", "[model]\npath = 'x'\n");
  const auto good = run_validate({(folder / "good.toml").string()});
  CHECK(good.code == 0);
  CHECK(good.out.starts_with("good.toml  ppo  ok; not there yet: "));
  const auto bad = run_validate({(folder / "good.toml").string(), (folder / "bad.toml").string()});
  CHECK(bad.code == 3);
  CHECK_THAT(bad.out, ContainsSubstring("bad.toml  sample  "));
  CHECK_THAT(bad.out, ContainsSubstring("bad.toml:8: sample.batch = 0 is not allowed"));
  CHECK_THAT(bad.out, ContainsSubstring("bad.toml  ppo  ok"));
  CHECK_THAT(bad.err, ContainsSubstring("1 of 3 stages"));
  CHECK(run_validate({(folder / "empty.toml").string()}).code == 3);
  CHECK(run_validate({(folder / "none.toml").string()}).code == 4);
  CHECK(run_validate({"appendix-a-honest"}).code == 0);
  const auto nothing = run_validate({"nope"});
  CHECK(nothing.code == 4);
  CHECK(nothing.err ==
        "coho validate: nope: no such recipe; give the path of a TOML file, or the name of a built-in "
        "recipe\n");
}

TEST_CASE("validate: --set changes the recipes that are checked, and must be of one of their stages") {
  const temporary_directory folder;
  write_bytes(folder / "r.toml", model + ppo);
  const auto recipe = (folder / "r.toml").string();
  CHECK(run_validate({recipe, "--set", "ppo.steps=3"}).code == 0);
  const auto wrong = run_validate({recipe, "--set", "ppo.steps=0"});
  CHECK(wrong.code == 3);
  CHECK_THAT(wrong.out, ContainsSubstring("r.toml  ppo  --set ppo.steps=0: ppo.steps = 0 is not allowed"));
  CHECK_THAT(run_validate({recipe, "--set", "ppo.stepz=3"}).out, ContainsSubstring("did you mean ppo.steps?"));
  CHECK_THAT(run_validate({recipe, "--set", "sft.epochs=3"}).err, ContainsSubstring("no stage of the recipe reads"));
}

TEST_CASE("--dry-run with a recipe plans each of its stages") {
  const auto seen =
      run({"--dry-run", "recipes/dromedary-2-70b.toml", "--set", "plan.bandwidth=4300", "--set", "plan.flops=790"});
  CAPTURE(seen.err);
  REQUIRE(seen.code == 0);
  // Four models of 70B on one device of 80 GB (docs/memory.md); the reward model alone takes less.
  CHECK(peak_of(seen.out, "ppo") < 78.0);
  CHECK(peak_of(seen.out, "ppo") > 60.0);
  CHECK(peak_of(seen.out, "reward") < peak_of(seen.out, "ppo"));
  CHECK(peak_of(seen.out, "reward --pretrain") > 32.9);
  CHECK_THAT(seen.out,
             ContainsSubstring("== sft\n") && ContainsSubstring("not planned: ") && ContainsSubstring("judge"));

  CHECK(run({"--dry-run", "--set"}).code == 2);
  CHECK(run({"--dry-run", "no-such-recipe"}).code == 4);
  const auto misspelt = run({"--dry-run", "dromedary-2-70b", "--set", "ppo.rollout=3"});
  CHECK(misspelt.code == 3);
  CHECK_THAT(misspelt.err, ContainsSubstring("rollouts"));
}

namespace {

// What is wrong with the first stage of all that cannot be run with this recipe.
std::string problem_of_any(const std::string& text) {
  const temporary_directory folder;
  write_bytes(folder / "r.toml", text);
  auto all = stage_commands();
  all.push_back(make_demo_command());
  for (const auto& verdict : validate_recipe(folder / "r.toml", all))
    if (!verdict.problem.empty()) return verdict.stage + ": " + verdict.problem;
  return {};
}

}  // namespace

TEST_CASE("validate: one recipe serves all stages, and the keys that only some read are checked in each") {
  const std::string all =
      "[model]\npath = 'm'\ndtype = 'bfloat16'\nadapter = 'a'\n[generation]\nslots = 4\n[quantize]\n"
      "shard_bytes = 1000\n[principles]\naction = 'list'\n[prompt]\nformat = 'plain'\nmax_tokens = 9\n[sft]\ndata = "
      "'d'\n[sample]\nprompts = 'p'\n"
      "[judge]\nsamples = 's'\n[generate]\nprompt = 'x'\n[chat]\nsystem = ''\n[ppo]\nprompts = 'p'\nreward_model = "
      "'r'\n[eval]\nkind = 'preferences'\ndata = 'd'\nreward_model = 'r'\nwording = 'plain'\nfirst_half = true\n";
  CHECK(problem_of_any(all) == "");
  const auto with = [&](const std::string& before, const std::string& after) {
    auto out = all;
    return out.replace(out.find(before), before.size(), after);
  };
  CHECK_THAT(problem_of_any(with("dtype = ", "dtpye = ")),
             ContainsSubstring("unknown key model.dtpye; did you mean model.dtype?"));
  for (const auto& [before, after] : {std::pair<std::string, std::string>{"slots = 4", "slots = 0"},
                                      {"wording = 'plain'", "wording = 'vicuna'"},
                                      {"first_half = true", "first_half = 7"}}) {
    CAPTURE(after);
    CHECK_THAT(problem_of_any(with(before, after)), ContainsSubstring(after.substr(0, after.find(' '))));
  }
  const std::string generate = "[model]\npath = 'm'\n[generation]\nslots = 0\n[generate]\nprompt = 'x'\n";
  CHECK_THAT(problem_of_any(generate), ContainsSubstring("generate: ") && ContainsSubstring("generation.slots = 0") &&
                                           ContainsSubstring("in [1, 2147483647]"));
}

TEST_CASE("validate: options without effect are refused by key, reason and mend") {
  const std::string sft = model + "[sft]\ndata = 'd'\n";
  const std::string prompts = "[prompts]\ntokenizer = 't'\nsource.a.path = 'p'\n";
  for (const auto& [recipe, key] : {
           std::pair<std::string, std::string>{model + ppo + "normalization.samples = 9\nnormalization.from = 'none'\n",
                                               "ppo.normalization.samples"},
           {model + ppo + "intervention_position = 'last'\n", "ppo.intervention_position"},
           {model + ppo + "save_every = 0\nkeep = 5\n", "ppo.keep"},
           {sft + "identity.name = 'A'\n", "sft.identity.name"},
           {sft + "identity.maker = 'B'\n", "sft.identity.maker"},
           {sft + "identity.repeats = 2\n", "sft.identity.repeats"},
           {sft + "keep = 3\n", "sft.keep"},
           {sft + "[adapter]\nkind = 'full'\nrank = 8\n", "adapter.rank"},
           {model + "double_quantize = false\n[sft]\ndata = 'd'\n", "model.double_quantize"},
           {prompts + "held_out_file = 'h.jsonl'\n", "prompts.held_out_file"},
       }) {
    CAPTURE(recipe);
    CHECK_THAT(problem_of_any(recipe), ContainsSubstring(key + " = ") && ContainsSubstring("it must be left out ") &&
                                           ContainsSubstring("where it has no effect"));
  }
}

TEST_CASE("validate: numbers of sources and steps are refused by key, value and range") {
  const std::string prompts = "[prompts]\ntokenizer = 't'\nsource.a.path = 'p'\nsource.a.count = 0\n";
  CHECK_THAT(problem_of_any(prompts),
             ContainsSubstring("prompts.source.a.count = 0") && ContainsSubstring("at least 1"));
  CHECK_THAT(problem_of_any(model + ppo + "evaluation.every = -1\n"),
             ContainsSubstring("ppo.evaluation.every") && ContainsSubstring("(-1)") && ContainsSubstring("0 or more"));
  CHECK_THAT(problem_of_any(model + ppo + "learning_rate.warmup_steps = 2.5\n"),
             ContainsSubstring("ppo.learning_rate.warmup_steps = 2.5") && ContainsSubstring("a whole number of steps"));
}

TEST_CASE("validate: the stages in a recipe of the demo are checked with it") {
  const std::string demo = "extends = 'demo'\n[demo]\npairs = 10\n";
  CHECK(problem_of_any(demo) == "");
  CHECK_THAT(problem_of_any("extends = 'demo'\n[demo]\npairs = 0\n"),
             ContainsSubstring("demo.pairs = 0") && ContainsSubstring("at least 1"));
  CHECK_THAT(problem_of_any(demo + "[ppo]\nstepz = 3\n"),
             ContainsSubstring("r.toml:5: unknown key ppo.stepz; did you mean ppo.steps?"));
  CHECK_THAT(problem_of_any(demo + "[judge]\nbatch = 0\n"), ContainsSubstring("r.toml:5: judge.batch = 0"));
  CHECK_THAT(problem_of_any(demo + "[reward]\nepochs = 0\n"), ContainsSubstring("r.toml:5: reward.epochs = 0"));
}
