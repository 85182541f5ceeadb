#include "program/run_subcommand.hpp"

#include <string>
#include <utility>
#include <vector>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "config/option_list.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// The refusal of a stage that reads some keys and then throws; empty: another exception, or none.
template <class Thrown>
std::string refusal(const std::string& recipe, const Thrown& thrown) {
  const auto options = config::parse(recipe, "r.toml");
  stage_context context("test", options, false, true, true);
  const subcommand command{"test", "throws", [&](const config& c, stage_context&) {
                             c.get<double>("ppo.kl_loss.clip", 0), c.get<double>("ppo.value_clip.clip", 0.2);
                             c.get<std::vector<std::string>>("adapter.alpha_pattern", {});
                             c.get<double>("ppo.gae.gamma", 1), c.find<double>("ppo.correction.low");
                             throw thrown;
                           }};
  try {
    run_subcommand(command, options, context);
  } catch (const config_error& e) {
    return e.what();
  } catch (const coho::error&) {
    return {};
  }
  return {};
}

// The refusal of a stage's own dry run.
std::string refusal_of(const subcommand& command, const std::string& recipe, const settings& given = {}) {
  const auto options = config::parse(recipe, "r.toml", given);
  stage_context context(command.name, options, false, true, true);
  context.on_dry_run = [](const config&, const auto&) {};
  try {
    run_subcommand(command, options, context);
  } catch (const config_error& e) {
    return e.what();
  }
  return {};
}

const std::string model = "[model]\npath = 'nowhere'\n";
const std::string ppo = model + "[ppo]\nprompts = 'p.jsonl'\nreward_model = 'rm'\n";

}  // namespace

TEST_CASE("run_subcommand: an error of an option has the place of the key that sets it") {
  const coho::option_error whole("kl_loss.clip", 3.0, "below 2"), last("clip", 3.0, "below 2");
  CHECK(refusal("[ppo]\nkl_loss.clip = 3\n", whole) ==
        "r.toml:2: ppo.kl_loss.clip = 3 is not allowed: it must be below 2");
  CHECK(refusal("[ppo]\nkl_loss.clip = 3\n", last) ==
        "r.toml:2: ppo.kl_loss.clip = 3 is not allowed: it must be below 2");
  CHECK_THAT(refusal("[ppo]\nvalue_clip.clip = 3\n", last), ContainsSubstring("r.toml:2: ppo.value_clip.clip = 3"));
  // A default, where the whole name is known.
  CHECK_THAT(refusal("", whole), ContainsSubstring("default: ppo.kl_loss.clip = 3"));
  CHECK_THAT(
      refusal("[adapter]\nalpha_pattern = ['q=0']\n", coho::option_error("adapter.alpha_pattern.q", 0, "above 0")),
      ContainsSubstring("r.toml:2: adapter.alpha_pattern = 0 is not allowed"));
  CHECK_THAT(refusal("[ppo.correction]\nlow = 1\n", coho::option_error("correction", "on", "off")),
             ContainsSubstring("r.toml:2: ppo.correction = on is not allowed"));
  // An option that no key sets stays what it was.
  CHECK(refusal("", last) == "");
  CHECK(refusal("", coho::option_error("rows", 3, "even")) == "");
}

TEST_CASE("run_subcommand: a misspelt key is reported before the one that is then absent") {
  CHECK(refusal_of(make_sft_command(), "[model]\npth = 'x'\n[sft]\ndata = 'd'\n") ==
        "r.toml:2: unknown key model.pth; did you mean model.path?");
  CHECK(refusal_of(make_sft_command(), "[model]\npath = 'x'\n[sft]\ndta = 'd'\n") ==
        "r.toml:4: unknown key sft.dta; did you mean sft.data?");
  CHECK_THAT(refusal_of(make_sft_command(), "[model]\npath = 'x'\n[sft]\nepochs = 2\n"),
             ContainsSubstring("sft.data is not given"));
  CHECK_THAT(refusal_of(make_prompts_command(), "[[prompts.source]]\nname = 'a'\npath = 'p'\ncount = 3\n"),
             ContainsSubstring("model.path is not given"));
}

TEST_CASE("run_subcommand: what only the library refuses has its place in the recipe") {
  for (const auto& [line, says] : std::vector<std::pair<std::string, std::string>>{
           {"ppo.rollouts=0", "ppo.rollouts = 0"},
           {"ppo.samples_per_prompt=0", "ppo.samples_per_prompt = 0"},
           {"ppo.reduction.fixed_length=3", "ppo.reduction.fixed_length = 3"},
           {"ppo.kl_loss.clip=1", "ppo.kl_loss.clip = "},
           {"ppo.sampler_correction.low=5", "ppo.sampler_correction.low = 5"},
           {"generation.temperature=0", "generation.temperature = 0"},
           {"prompt.stop=[\"\"]", "prompt.stop = "},
           {"adapter.targets=[]", "adapter.targets = []"},
           {"adapter.alpha_pattern=[\"q_proj=0\"]", "adapter.alpha_pattern = "}}) {
    CAPTURE(line);
    CHECK_THAT(refusal_of(make_ppo_command(), ppo, {line}), ContainsSubstring("--set " + line + ": " + says));
  }
  CHECK_THAT(refusal_of(make_aggregate_command(), "[aggregate]\njudgements = 'j'\nset_sizes = [-1.0]\n"),
             ContainsSubstring("r.toml:3: aggregate.set_sizes = -1 is not allowed: it must be finite and at least 0"));
  CHECK_THAT(refusal_of(make_aggregate_command(), "[aggregate]\njudgements = 'j'\nset_sizes = [0.0]\n"),
             ContainsSubstring("r.toml:3: aggregate.set_sizes = 0 is not allowed"));
}
