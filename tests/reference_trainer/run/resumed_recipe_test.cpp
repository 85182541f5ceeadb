#include "run/resumed_recipe.hpp"

#include <string>
#include <vector>

#include "checkpoint/train_state.hpp"
#include "run/run_recipe.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Equals;

namespace {

// A run that was started with some settings and is resumed with others.
struct resumed_run {
  temporary_directory folder;

  static void read(const config& options) {
    options.get<std::uint64_t>("seed", 1), options.get<std::size_t>("threads", 1);
    options.get<double>("sft.learning_rate.peak", 1e-4), options.get("sft.learning_rate.kind", "cosine");
    options.get<std::uint64_t>("sft.learning_rate.total_steps", 0);
    options.get<double>("sft.learning_rate.warmup_steps", 0), options.get<std::uint64_t>("sft.epochs", 1);
    options.get<std::size_t>("sft.micro_batch.tokens", 64), options.get<std::uint64_t>("sft.save_every", 0);
    options.get<std::vector<std::filesystem::path>>("sft.data", {}), options.find<double>("ppo.adaptive_kl.target");
  }

  void start(const settings& given) const {
    const config options(given);
    read(options);
    save_run_recipe(options, recipe_in_folder(folder.path()));
  }
  // What is refused; empty: nothing.
  std::string resume(const settings& given) const {
    const config options(given);
    read(options);
    stage_context context("test", options, true, false, true);
    try {
      require_same_recipe(options, recipe_in_folder(folder.path()), context);
    } catch (const config_error& e) {
      return e.what();
    }
    return {};
  }
};

}  // namespace

TEST_CASE("resumed_recipe: a changed option is refused with its place and both values") {
  const resumed_run run;
  CHECK(run.resume({"seed=9"}) == "");  // without a record of the run nothing is compared
  run.start({"seed=3", "sft.learning_rate.peak=1e-3"});
  CHECK(run.resume({"seed=3", "sft.learning_rate.peak=0.001"}) == "");
  CHECK(run.resume({"seed=3", "sft.learning_rate.peak=0.5"}) ==
        "--set sft.learning_rate.peak=0.5: sft.learning_rate.peak = 0.5, but the run was started with 0.001; --resume "
        "goes "
        "on with the run as it was started: give the values in " +
            (run.folder / "config.toml").string() + ", or start a new run in another --out");
  // One that is left out is its default; one that the run did not have is an addition; all are named.
  const auto all = run.resume({"sft.learning_rate.kind=linear", "ppo.adaptive_kl.target=6"});
  for (const std::string part :
       {"default: seed = 1, but the run was started with 3", "default: sft.learning_rate.peak = 1e-04",
        "sft.learning_rate.kind = linear, but the run was started with cosine",
        "ppo.adaptive_kl.target = 6, but the run was started with none"})
    CHECK_THAT(all, ContainsSubstring(part));
}

TEST_CASE("resumed_recipe: an option that was given and no longer is, is refused") {
  const resumed_run run;
  run.start({"ppo.adaptive_kl.target=6"});
  CHECK_THAT(run.resume({}),
             Catch::Matchers::StartsWith("default: ppo.adaptive_kl.target = none, but the run was started with 6"));
}

TEST_CASE("resumed_recipe: what does not change the weights may change") {
  const resumed_run run;
  run.start({});
  CHECK(run.resume({"threads=3", "sft.micro_batch.tokens=8", "sft.save_every=5"}) == "");
}

TEST_CASE("resumed_recipe: the length may change where the learning rate does not depend on it") {
  const settings longer{"sft.epochs=4"};
  for (const auto& [given, free] : std::vector<std::pair<settings, bool>>{
           {{}, false},
           {{"sft.learning_rate.total_steps=50"}, true},
           {{"sft.learning_rate.kind=constant"}, true},
           {{"sft.learning_rate.kind=constant", "sft.learning_rate.warmup_steps=5"}, true},
           {{"sft.learning_rate.kind=constant", "sft.learning_rate.warmup_steps=0.1"}, false}}) {
    const resumed_run run;
    run.start(given);
    CAPTURE(given);
    CHECK(run.resume(given + longer).empty() == free);
  }
}

TEST_CASE("resumed_recipe: a file may have moved or been copied, but not be another one") {
  const resumed_run run;
  const auto data = [&](const std::string& name) { return settings{"sft.data=" + (run.folder / name).string()}; };
  std::filesystem::create_directories(run.folder / "moved");
  write_bytes(run.folder / "a.jsonl", "one");
  write_bytes(run.folder / "moved" / "a.jsonl", "one");
  write_bytes(run.folder / "b.jsonl", "two");
  run.start(data("a.jsonl"));
  CHECK(run.resume(data("moved/a.jsonl")) == "");
  CHECK_THAT(run.resume(data("b.jsonl")), ContainsSubstring("sft.data"));
  std::filesystem::remove(run.folder / "a.jsonl");
  CHECK(run.resume(data("moved/a.jsonl")) == "");
  CHECK_THAT(run.resume(data("b.jsonl")), ContainsSubstring("sft.data"));
}

TEST_CASE("resumed_recipe: a file that has changed in its place is refused") {
  const resumed_run run;
  const settings data{"sft.data=" + (run.folder / "a.jsonl").string()};
  write_bytes(run.folder / "a.jsonl", "one");
  run.start(data);
  CHECK(run.resume(data) == "");
  write_bytes(run.folder / "a.jsonl", "two");
  CHECK_THAT(run.resume(data), ContainsSubstring("a.jsonl has changed since the run was started"));
  // Its record is still a recipe.
  CHECK(config::load(recipe_in_folder(run.folder.path())).given().size() > 5);
}

TEST_CASE("resumed_recipe: a run has a checkpoint once one is complete") {
  const temporary_directory folder;
  CHECK_FALSE(has_checkpoint({}));
  CHECK_FALSE(has_checkpoint(folder.path()));
  save_train_state(folder / "checkpoints", 3, {});
  CHECK(has_checkpoint(folder.path()));
}
