// Judging pairs under the eleven shipped principles in both orders, with the shipped template, which names the
// principle after the outputs: with the common prefix of a pair's prompts computed once, and with every prompt computed
// completely. The model is a random LLaMA with the shape of stories15M, the tokenizer is the demo's.
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <coho/principle/judging.hpp>
#include <coho/rng.hpp>

#include "files/data_files.hpp"
#include "models/model_files.hpp"
#include "resources/principle_file.hpp"
#include "resources/template_file.hpp"
#include "roles/judge_role.hpp"
#include "stories_15m.hpp"

namespace {

using namespace coho::trainer;

adapter_bank& bank() {
  static const std::unique_ptr<adapter_bank> made = [] {
    auto out = random_15m();
    out->add_base("judge");
    return out;
  }();
  return *made;
}

std::string words(std::size_t count, coho::rng random) {
  static const std::vector<std::string> all{"the", "fox", "owl", "is", "red", "gray", "likes", "hay", "wind", "woods"};
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += all[random.index(all.size())] + (i % 9 == 8 ? ". " : " ");
  return out;
}

void judge(benchmark::State& state, std::size_t shortest_prefix) {
  static const loaded_model demo = load_model(shipped_file("demo/base"));
  const coho::judge_prompt prompt(load_template(coho::template_kind::judge, shipped_file("prompts/judge.txt")));
  const auto principles = load_principles(shipped_file("principles/reward_model.json"));
  std::vector<coho::response_pair> pairs;
  for (std::size_t i = 0; i < 2; ++i) {
    const coho::rng random = coho::rng{3}.split(i);
    pairs.push_back({words(40, random.split(0)), words(180, random.split(1)), words(180, random.split(2))});
  }
  judge_role role(bank(), "judge", *demo.tokenizer, {.shortest_prefix = shortest_prefix});
  for (auto _ : state)
    benchmark::DoNotOptimize(coho::judge_pairs(role, prompt, std::span<const coho::response_pair>(pairs), principles));
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["prompts"] = 2.0 * static_cast<double>(pairs.size() * principles.size());
  state.counters["tokens_asked"] = static_cast<double>(role.counts().asked) / iterations;
  state.counters["tokens_computed"] = static_cast<double>(role.counts().computed) / iterations;
}

void add(const std::string& name, std::size_t shortest_prefix) {
  const auto run = [=](benchmark::State& state) { judge(state, shortest_prefix); };
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->Iterations(1)
      ->Repetitions(3)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

[[maybe_unused]] const bool registered = [] {
  add("judge 15M, 11 principles, 2 orders/coho", judge_role_options{}.shortest_prefix);
  add("judge 15M, 11 principles, 2 orders/whole prompts", 0);
  return true;
}();

}  // namespace
