// A plan against what a bank of roles really holds.
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "adapters/adapter_bank.hpp"
#include "optimization/adamw.hpp"
#include "plan/memory_plan.hpp"
#include "roles/policy_role.hpp"
#include "support/catch.hpp"
#include "support/process_memory.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("memory plan: four roles over one base hold just the bytes that were planned") {
  const bool tied = GENERATE(false, true);
  CAPTURE(tied);
  adapter_bank bank(small_weights(0, tied));
  const lora_options low_rank{.rank = 3};
  bank.add_base("reference");
  bank.add_lora("policy", low_rank, rng{1});
  bank.add_lora("reward", low_rank, rng{2});
  bank.add_head("reward");
  bank.copy("reward", "value");
  parameter_set &policy = bank.train("policy"), &value = bank.train("value");
  const adamw policy_optimizer(policy), value_optimizer(value);
  std::int64_t held = bank.bytes();
  for (const auto* set : {&policy, &value}) held += static_cast<std::int64_t>(set->gradients().nbytes());
  for (const auto* optimizer : {&policy_optimizer, &value_optimizer}) held += optimizer->state_bytes();

  memory_plan_options options{
      .model = small_config(0, tied), .base = base_storage::float32, .compute = compute_type::float32};
  const std::vector<linear_ranks> ranks{{3, 3, 3, 3, 3, 3, 3}};
  options.roles = {{.name = "reference"},
                   {.name = "policy", .ranks = ranks, .trained = true},
                   {.name = "reward", .ranks = ranks, .scalar_head = true},
                   {.name = "value", .ranks = ranks, .scalar_head = true, .trained = true}};
  CHECK(plan_memory(options).resident_bytes() == held);
}

TEST_CASE("memory plan: a role with weights of its own holds just the bytes that were planned") {
  adapter_bank bank(small_weights());
  bank.add_full("policy");
  const std::int64_t before = bank.bytes();
  memory_plan_options options{.model = small_config(), .base = base_storage::float32, .compute = compute_type::float32};
  options.roles = {{.name = "policy", .full = true}};
  CHECK(plan_memory(options).resident_bytes() == before);
  const parameter_set& parameters = bank.train("policy");
  options.roles[0].trained = true;
  const memory_plan plan = plan_memory(options);
  CHECK(plan.group_bytes("master weights") == static_cast<std::int64_t>(parameters.values().nbytes()));
  CHECK(plan.group_bytes("gradients") == static_cast<std::int64_t>(parameters.gradients().nbytes()));
}

#ifdef __GLIBC__
namespace {

token_batch random_batch(std::size_t sequences, std::size_t length) {
  token_batch out;
  for (std::size_t i = 0; i < sequences; ++i) {
    out.prompts.push_back(random_tokens(length, 2000, i + 1));
    out.responses.push_back(random_tokens(length + 1, 2000, i + 100));  // of the last nothing is predicted
  }
  return out;
}

}  // namespace

TEST_CASE("memory plan: an update takes the memory that was planned, within a tenth") {
  llama_config model = small_config();
  model.vocab_size = 2000;
  model.hidden_size = 384;
  model.intermediate_size = 1024;
  model.num_hidden_layers = 6;
  model.num_attention_heads = 6;
  model.num_key_value_heads = 6;
  model.head_dim = 64;
  model.max_position_embeddings = 1024;
  mallopt(M_MMAP_THRESHOLD, 1 << 16);  // so that what is freed leaves the process
  const auto kind = GENERATE(recomputation::none, recomputation::selective, recomputation::full);
  const double dropout = kind == recomputation::selective ? 0.1 : 0;
  adapter_bank bank(llama_weights::random(model, rng{1}, 0.02, {.quantize = nf4_options{}}));
  bank.set_recomputation(kind);
  bank.add_lora("policy", {.rank = 16, .dropout = dropout}, rng{2});
  bank.train("policy");
  policy_role policy(bank, "policy", {.entropy_gradient = false});
  const auto update = [&](const token_batch& batch) {
    auto [out, pullback] = policy.forward(batch);
    const std::vector<double> gradient(out.log_probs.size(), 0.1);
    pullback({.log_probs = gradient, .entropy = {}});
  };
  update(random_batch(1, 8));  // what libtorch makes once
  const memory_peak memory;
  update(random_batch(8, 128));
  const double measured = memory.bytes();
  if (!memory.known()) return;

  memory_plan_options options{
      .model = model, .base = base_storage::nf4_double, .compute = compute_type::float32, .recompute = kind};
  options.roles = {{.name = "policy", .ranks = {{16, 16, 16, 16, 16, 16, 16}}, .trained = true, .log_probs = true}};
  options.query_tokens = options.response_tokens = 128;
  options.micro_batch_tokens = 8 * 256;
  options.log_prob_rows = 256;
  options.log_prob_columns = 1024;
  options.dropout = dropout;
  options.dropout_blocks = 0;
  const double planned = static_cast<double>(plan_memory(options).phases.front().bytes());
  CAPTURE(measured, planned, dropout);
  CHECK(planned == Approx(measured).epsilon(0.1));
}
#endif
