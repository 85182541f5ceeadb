// The time of a few layers: decoding one sequence, a forward of a micro-batch, a forward with its backward.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>

#include <coho/rng.hpp>

#include "decoder/tensor_conversion.hpp"
#include "generation/engine.hpp"
#include "llama/adapter_bank.hpp"
#include "plan/time_plan.hpp"
#include "sections.hpp"

namespace coho::bench {

using namespace trainer;
using nlohmann::json;

namespace {

std::vector<token> random_tokens(std::int64_t count, std::int64_t words, rng random) {
  std::vector<token> out(static_cast<std::size_t>(count));
  for (token& t : out) t = static_cast<token>(random.uniform() * static_cast<double>(words));
  return out;
}

// Median seconds between consecutive tokens. Each token is copied to the host, which waits for the device.
json time_decoding(const bench_machine& machine, const shapes& sizes, adapter_bank& bank, const std::string& role) {
  generation_engine engine(bank, role, {.slots = 1});
  packed<token> prompts;
  prompts.push_back(random_tokens(sizes.query_tokens, sizes.model.vocab_size, rng(2)));
  const auto count = static_cast<std::size_t>(sizes.decoded_tokens);
  std::vector<double> seconds;
  for (int round = 0; round < 2; ++round) {  // the first one warms up
    std::vector<rng> streams{rng(3)};
    std::vector<clock::time_point> at;
    engine.generate(prompts, {.max_new_tokens = count}, {}, streams,
                    [&](std::size_t, token) { at.push_back(clock::now()); });
    seconds.clear();
    // The first few after the prefill wait for its memory to be released.
    for (std::size_t i = std::min<std::size_t>(5, count - 1); i < count; ++i)
      seconds.push_back(std::chrono::duration<double>(at[i] - at[i - 1]).count());
  }
  machine.synchronize();
  return {{"seconds", median(seconds)}, {"samples", seconds.size()}};
}

}  // namespace

json measure_decoding(const bench_machine& machine, const shapes& sizes, const few_layers& model) {
  json out = json::array();
  for (const std::int64_t layers : {model.layers, model.all()}) {
    adapter_bank bank(first_layers(model.weights, layers));
    const lora_options lora{.rank = sizes.rank};
    bank.add_base("base");
    bank.add_lora("frozen adapter", lora, rng(4));
    bank.freeze("frozen adapter");
    bank.add_lora("trained adapter", lora, rng(4));
    bank.train("trained adapter");
    for (const char* role : {"base", "frozen adapter", "trained adapter"}) {
      json row = time_decoding(machine, sizes, bank, role);
      row.update({{"role", role},
                  {"layers", layers},
                  {"prompt_tokens", sizes.query_tokens},
                  {"tokens", sizes.decoded_tokens}});
      out.push_back(row);
    }
  }
  return out;
}

json measure_passes(const bench_machine& machine, const shapes& sizes, const few_layers& model) {
  const std::int64_t layers = model.layers, sequences = machine.small ? 2 : 8;  // 8 · 1280 = 10240 tokens
  memory_plan_options plan = four_models_plan(sizes, machine, layers);
  plan.recompute = recomputation::selective;
  // One sequence, so that the operations of one are counted and multiplied.
  plan.slots = 0;
  for (role_plan& role : plan.roles) role.log_probs = false;
  const time_plan work = plan_time({.sizes = plan, .sequences = sequences, .epochs = 1, .scoring = {{"policy", false}}},
                                   {.bandwidth = 1, .flops = 1});
  const auto flops = [&](const std::string& phase) {
    for (const phase_work& p : work.phases)
      if (p.name == phase) return p.flops;
    throw std::logic_error("the plan of time has no phase " + phase);
  };

  adapter_bank bank(first_layers(model.weights, layers));
  bank.add_lora("policy", {.rank = sizes.rank}, rng(5));
  bank.set_recomputation(recomputation::selective);
  const std::vector<std::int64_t> lengths(static_cast<std::size_t>(sequences), sizes.length());
  const sequence_layout layout(lengths, machine.device);
  const at::Tensor tokens = token_tensor(random_tokens(layout.tokens, sizes.model.vocab_size, rng(6)), machine.device);

  const auto sizes_of = [&](json row, const std::string& phase) {
    row.update({{"layers", layers}, {"sequences", sequences}, {"length", sizes.length()}, {"flops", flops(phase)}});
    return row;
  };
  json out;
  bank.train("policy");
  {
    const at::NoGradGuard no_gradient;
    out["scoring"] =
        sizes_of(json_of(time_calls(machine, [&](int) { bank.hidden("policy", tokens, layout); })), "policy");
  }
  const at::Tensor gradient = at::randn({layout.tokens, sizes.model.hidden_size}, machine.options());
  out["update"] =
      sizes_of(json_of(time_calls(machine, [&](int) { bank.hidden("policy", tokens, layout).backward(gradient); })),
               "update of policy");
  return out;
}

}  // namespace coho::bench
