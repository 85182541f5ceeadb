// Tokens per second of the generation engine, decoding and prefilling, on the demo's base model and on a random LLaMA
// with the shape of stories15M. The floor of a step is the time to read its weights at triad bandwidth over as many
// bytes, or to compute its products at the speed of a large matrix product, whichever is longer; attention and sampling
// are not counted.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <coho/rng.hpp>

#include "files/data_files.hpp"
#include "generation/engine.hpp"
#include "llama/adapter_bank.hpp"
#include "machine_limits.hpp"
#include "models/model_files.hpp"
#include "stories_15m.hpp"

namespace {

using namespace coho::trainer;

adapter_bank& bank_of(const std::string& model) {
  static std::map<std::string, std::unique_ptr<adapter_bank>> banks;
  auto& bank = banks[model];
  if (!bank) {
    bank = model == "demo" ? load_model(shipped_file("demo/base")).bank : random_15m();
    bank->add_base("policy");
  }
  return *bank;
}

/// Elements of the matrices that every token is multiplied with; the head separately, which only predictions need.
struct matrix_sizes {
  double linears = 0, head = 0;

  explicit matrix_sizes(const llama_weights& weights) : head(static_cast<double>(weights.head.numel())) {
    for (const auto& block : weights.blocks) {
      for (const auto& linear : block.linears) linears += static_cast<double>(linear.numel());
    }
  }
};

double floor_seconds(double numbers, double products) {
  const double bytes = sizeof(float) * numbers;
  return std::max(bytes / coho::bench::triad_bandwidth(static_cast<std::int64_t>(bytes)),
                  2 * products / coho::bench::matmul_flops());
}

/// One call of the engine per iteration: `batch` prompts of `prompt_length` tokens, continued by `steps` tokens each.
void generate(benchmark::State& state, const std::string& model, std::size_t batch, std::size_t prompt_length,
              std::size_t steps) {
  adapter_bank& bank = bank_of(model);
  coho::rng random{2};
  coho::packed<coho::token> prompts;
  for (std::size_t i = 0; i < batch; ++i) {
    std::vector<coho::token> prompt;
    for (std::size_t t = 0; t < prompt_length; ++t)
      prompt.push_back(static_cast<coho::token>(random.index(static_cast<std::uint64_t>(bank.config().vocab_size))));
    prompts.push_back(prompt);
  }
  generation_engine engine(bank, "policy");
  const coho::generation_options options{.max_new_tokens = steps};
  const auto run = [&] {
    std::vector<coho::rng> streams;
    for (std::size_t i = 0; i < batch; ++i) streams.push_back(random.split(i));
    return engine.generate(prompts, options, {}, streams).responses.total();
  };
  for (auto _ : state) benchmark::DoNotOptimize(run());

  const matrix_sizes sizes(bank.base());
  const auto count = [](std::size_t n) { return static_cast<double>(n); };
  const double numbers = sizes.linears + sizes.head, bytes = sizeof(float) * numbers;
  const double first = floor_seconds(numbers, count(batch) * (count(prompt_length) * sizes.linears + sizes.head));
  state.counters["floor"] = first + count(steps - 1) * floor_seconds(numbers, count(batch) * numbers);
  state.counters["triad_GB/s"] = coho::bench::triad_bandwidth(static_cast<std::int64_t>(bytes)) / 1e9;
  state.counters["weights_GB/s"] =
      benchmark::Counter(bytes * count(steps) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["tokens/s"] = benchmark::Counter(count(batch) * count(steps > 1 ? steps : prompt_length),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}

/// Prompts that begin with the same tokens, followed by a few different ones: the prefix computed once, or every prompt
/// computed completely.
void generate_behind(benchmark::State& state, std::size_t shared, std::size_t own, std::size_t batch, bool once) {
  adapter_bank& bank = bank_of("15M");
  coho::rng random{4};
  const auto draw = [&](std::size_t count, std::vector<coho::token> out) {
    for (std::size_t t = 0; t < count; ++t)
      out.push_back(static_cast<coho::token>(random.index(static_cast<std::uint64_t>(bank.config().vocab_size))));
    return out;
  };
  const auto prefix = draw(shared, {});
  coho::packed<coho::token> prompts;
  for (std::size_t i = 0; i < batch; ++i) prompts.push_back(draw(own, prefix));
  generation_engine engine(bank, "policy", {}, {}, once ? prefix : std::vector<coho::token>{});
  for (auto _ : state) {
    std::vector<coho::rng> streams;
    for (std::size_t i = 0; i < batch; ++i) streams.push_back(random.split(i));
    benchmark::DoNotOptimize(engine.generate(prompts, {.max_new_tokens = 16}, {}, streams).responses.total());
  }
}

void add_behind(const std::string& side, bool once) {
  const auto run = [=](benchmark::State& state) { generate_behind(state, 512, 32, 16, once); };
  benchmark::RegisterBenchmark(("generate 15M behind 512 tokens/" + side).c_str(), run)
      ->Iterations(1)
      ->Repetitions(3)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void add(const std::string& name, const std::string& model, std::size_t batch, std::size_t prompt_length,
         std::size_t steps) {
  const auto run = [=](benchmark::State& state) { generate(state, model, batch, prompt_length, steps); };
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->Iterations(1)
      ->Repetitions(3)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

[[maybe_unused]] const bool registered = [] {
  for (const std::size_t batch : {1, 8, 64}) add("decode demo, batch " + std::to_string(batch), "demo", batch, 1, 48);
  for (const std::size_t batch : {1, 8, 64}) add("decode 15M, batch " + std::to_string(batch), "15M", batch, 1, 16);
  add("prefill demo, 64 x 64 tokens", "demo", 64, 64, 1);
  add("prefill 15M, 8 x 256 tokens", "15M", 8, 256, 1);
  add_behind("coho", true);
  add_behind("whole prompts", false);
  return true;
}();

}  // namespace
