#include "four_models.hpp"

#include <span>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>

#include <coho/rng.hpp>

#include "decoder/packed_batch.hpp"
#include "roles/host_numbers.hpp"

namespace coho::bench {

using namespace trainer;

namespace {

std::vector<rl_prompt> random_prompts(std::int64_t count, std::int64_t length, std::int64_t words) {
  std::vector<rl_prompt> out(static_cast<std::size_t>(count));
  rng random(7);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].key = i;
    for (std::int64_t t = 0; t < length; ++t)
      out[i].tokens.push_back(static_cast<token>(random.uniform() * static_cast<double>(words)));
  }
  return out;
}

std::vector<double> scores(adapter_bank& bank, std::span<const reward_query> queries) {
  const at::NoGradGuard no_gradient;
  std::vector<std::vector<token>> sequences;
  for (const reward_query& query : queries) {
    auto& sequence = sequences.emplace_back(query.prompt_tokens.begin(), query.prompt_tokens.end());
    sequence.insert(sequence.end(), query.response_tokens.begin(), query.response_tokens.end());
  }
  const last_token_batch batch(sequences, bank.device());
  return to_doubles(
      bank.scalar_output("reward", bank.hidden("reward", batch.tokens, batch.layout).index_select(0, batch.last)));
}

}  // namespace

four_models::four_models(const shapes& sizes, const bench_machine& machine, llama_weights base)
    : sizes_(sizes), machine_(machine), bank_(std::move(base)) {
  const lora_options lora{.rank = sizes.rank};
  const auto on_device = at::TensorOptions().device(machine.device).dtype(at::kFloat);
  bank_.set_recomputation(recomputation::full);
  bank_.add_lora("policy", lora, rng(8));
  bank_.copy("policy", "reference");
  bank_.add_lora("reward", lora, rng(9));
  // Not zeros, because then all advantages would be equal.
  bank_.set_head("reward", at::randn({1, sizes.model.hidden_size}, on_device), at::zeros({1}, on_device));
  bank_.copy("reward", "value");
  bank_.freeze("reward");
  bank_.freeze("reference");
  bank_.add_head("value");
  policy_optimizer_ = std::make_unique<adamw>(bank_.train("policy"));
  value_optimizer_ = std::make_unique<adamw>(bank_.train("value"));
}

four_models::step_result four_models::step(const step_options& options) {
  ppo_options settings = ppo_options::paper();
  settings.generation.max_new_tokens = static_cast<std::size_t>(options.response_tokens);
  settings.minibatch_size =
      static_cast<std::size_t>((options.rollouts + options.minibatches - 1) / options.minibatches);
  settings.scoring_batch =
      settings.micro_batch = {.sequences = 0, .tokens = static_cast<std::size_t>(options.forward_tokens)};

  const policy_role_options sampling{.temperature = settings.generation.temperature,
                                     .entropy_gradient = false,
                                     .engine = {.slots = options.slots, .prefill_tokens = 8192}};
  policy_role policy(bank_, "policy", sampling), reference(bank_, "reference", sampling);
  value_role value(bank_, "value");
  const auto reward = [&](std::span<const reward_query> queries) { return scores(bank_, queries); };
  ppo_trainer trainer{ppo_models{.policy = policy,
                                 .reference = reference,
                                 .value = value,
                                 .reward = reward,
                                 .optimizer = *policy_optimizer_,
                                 .value_optimizer = *value_optimizer_},
                      settings};
  const auto prompts = random_prompts(options.rollouts, options.query_tokens, sizes_.model.vocab_size);
  machine_.synchronize();
  const auto start = clock::now();
  const ppo_statistics statistics = trainer.step(std::span<const rl_prompt>(prompts));
  machine_.synchronize();
  step_result out{.seconds = statistics.phase_seconds,
                  .wall = since(start),
                  .epochs = static_cast<double>(settings.epochs),
                  .tokens = statistics.tokens};
  // The last optimizer steps may still have been running.
  out.seconds.update += out.wall - out.seconds.total();
  return out;
}

}  // namespace coho::bench
