// One PPO step as in the demo (recipes/demo.toml: 64 rollouts of at most 48 tokens, two epochs, full fine-tuning, one
// thread), on its base model and with a reward model whose head is fresh, by phase.
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <nlohmann/json.hpp>

#include <coho/train/ppo.hpp>

#include "config/read_options.hpp"
#include "demo/principles.hpp"
#include "demo/world.hpp"
#include "files/data_files.hpp"
#include "models/model_files.hpp"
#include "models/prompter.hpp"
#include "models/reward_model_role.hpp"
#include "program/application.hpp"
#include "roles/policy_role.hpp"
#include "roles/reward_role.hpp"
#include "roles/value_role.hpp"
#include "rollouts/rl_prompts.hpp"
#include "run/training_run.hpp"
#include "settings/model_settings.hpp"
#include "settings/ppo_settings.hpp"
#include "settings/prompt_settings.hpp"

namespace {

using namespace coho::trainer;

std::vector<prompt_record> prompt_records() {
  std::vector<prompt_record> out;
  for (const auto& prompt : demo::all_prompts()) out.push_back({.instruction = demo::render(prompt)});
  return out;
}

std::string file_key(const std::string& key, const char* name) {
  return key + "=" + nlohmann::json(shipped_file(name).string()).dump();
}

/// Ends collection and estimation, the phases that the statistics count together with the update.
struct rollouts_clock {
  using clock = std::chrono::steady_clock;
  clock::time_point begin, end;
  void on_step_begin(std::uint64_t) { begin = clock::now(); }
  void on_rollouts(const coho::trajectory_batch&) { end = clock::now(); }
  double seconds() const { return std::chrono::duration<double>(end - begin).count(); }
};

void ppo_step(benchmark::State& state) {
  at::set_num_threads(1);
  const config options =
      config::load(shipped_file("recipes/demo.toml"), {file_key("prompt.template", "demo/prompts/inference.txt"),
                                                       file_key("reward_prompt.template", "demo/prompts/reward.txt")});
  const config section = options.section("ppo");
  const stage_context context("ppo", options, false, false, true);
  const coho::rng random(context.seed);

  loaded_model model = load_model(shipped_file("demo/base"));
  adapter_bank& bank = *model.bank;
  load_role(model, "reference", {});
  for (const char* role : {"policy", "reward", "value"})
    start_role(model, role, {}, read_adapter_settings(options), random);
  for (const char* role : {"reward", "value"}) bank.add_head(role);

  const prompter prompts(read_prompt_settings(options), model);
  const auto steps = section.get<std::uint64_t>("steps", 40);
  const auto rollouts = section.get<std::size_t>("rollouts", 64);
  const ppo_training training = read_ppo_training(options, context, prompts.stop(), steps);
  const coho::ppo_options& settings = training.options;
  const rl_prompt_source source(prompt_records(), prompts, guideline_source(read_section<guideline_options>(section)),
                                rollouts, 1, context.seed);
  const std::string guideline = demo::training_wordings(demo::quality::informative, false).front();

  adamw policy_optimizer(bank.train("policy"), training.optimizer);
  adamw value_optimizer(bank.train("value"), training.optimizer);
  const policy_role_options sampling{.temperature = settings.generation.temperature,
                                     .banned = model.banned_tokens(),
                                     .end_tokens = model.end_tokens(),
                                     .token_texts = model.token_texts()};
  policy_role policy(bank, "policy", sampling), reference(bank, "reference", sampling);
  value_role value(bank, "value");
  reward_role reward = make_reward_role(model, "reward", options, "ppo");
  const auto decoder = [&](std::span<const coho::token> tokens) { return prompts.response_text(tokens); };
  coho::ppo_trainer trainer{coho::ppo_models{.policy = policy,
                                             .reference = reference,
                                             .value = value,
                                             .reward = reward,
                                             .optimizer = policy_optimizer,
                                             .value_optimizer = value_optimizer,
                                             .decoder = decoder},
                            settings};
  const auto step = [&](auto&... callbacks) {
    auto batch = source(trainer.save().step);
    for (auto& prompt : batch) prompt.principles = {guideline};
    return trainer.step(std::span<const coho::rl_prompt>(batch), callbacks...);
  };
  step();

  coho::ppo_phases seconds;
  double collected = 0, tokens = 0;
  for (auto _ : state) {
    rollouts_clock clock;
    const coho::ppo_statistics statistics = step(clock);
    const auto& phase = statistics.phase_seconds;
    seconds.generation += phase.generation;
    seconds.policy += phase.policy;
    seconds.reference += phase.reference;
    seconds.values += phase.values;
    seconds.rewards += phase.rewards;
    seconds.update += phase.update;
    collected += clock.seconds();
    tokens += statistics.tokens;
  }
  const double scoring = seconds.policy + seconds.reference + seconds.values + seconds.rewards;
  const double advantages = collected - seconds.generation - scoring;
  const auto mean = [&](double sum) { return benchmark::Counter(sum, benchmark::Counter::kAvgIterations); };
  state.counters["phase_generation"] = mean(seconds.generation);
  state.counters["phase_scoring"] = mean(scoring);
  state.counters["phase_advantages"] = mean(advantages);
  state.counters["phase_update"] = mean(seconds.update - advantages);
  state.counters["tokens"] = mean(tokens);
}

[[maybe_unused]] const bool registered = [] {
  benchmark::RegisterBenchmark("ppo step of the demo", ppo_step)
      ->Iterations(3)
      ->Repetitions(3)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  return true;
}();

}  // namespace
