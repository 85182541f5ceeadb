#include "architecture/storage_types.hpp"
#include "generation/engine.hpp"
#include "llama/adapter_bank.hpp"
#include "optimization/adamw.hpp"
#include "plan/memory_plan.hpp"
#include "roles/policy_role.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"
#include "support/tensor_memory.hpp"

// A plan against what a bank of roles really holds.

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("memory plan: four roles over one base hold just the bytes that were planned") {
  const bool tied = GENERATE(false, true);
  CAPTURE(tied);
  adapter_bank bank(tied ? small_weights(0, true) : small_weights_with_biases_and_head_norms());
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

  memory_plan_options options{.model = bank.config(), .base = base_storage::float32, .compute = compute_type::float32};
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

namespace {

token_batch random_batch(std::size_t sequences, std::size_t length) {
  token_batch out;
  for (std::size_t i = 0; i < sequences; ++i) {
    out.prompts.push_back(random_tokens(length, 2000, i + 1));
    out.responses.push_back(random_tokens(length + 1, 2000, i + 100));  // of the last nothing is predicted
  }
  return out;
}

// Wide enough that what libtorch holds of its own does not count.
llama_config wide_config(std::int64_t key_value_heads, bool biases_and_head_norms = false) {
  llama_config model = small_config();
  model.query_key_value_bias = model.query_key_norm = biases_and_head_norms;
  model.vocab_size = 2000;
  model.hidden_size = 384;
  model.intermediate_size = 1024;
  model.num_hidden_layers = 6;
  model.num_attention_heads = 6;
  model.num_key_value_heads = key_value_heads;
  model.head_dim = 64;
  model.max_position_embeddings = 1024;
  return model;
}

adapter_bank wide_bank(const llama_config& model) {
  return adapter_bank(llama_weights::random(model, rng{1}, 0.02, {.quantize = nf4_options{}}));
}

memory_plan_options wide_plan(const llama_config& model) {
  memory_plan_options out{.model = model, .base = base_storage::nf4_double, .compute = compute_type::float32};
  out.query_tokens = out.response_tokens = 128;
  out.log_prob_rows = 256;
  out.log_prob_columns = 1024;
  out.dropout_blocks = 0;
  return out;
}

const std::vector<linear_ranks> sixteen{{16, 16, 16, 16, 16, 16, 16}};

}  // namespace

TEST_CASE("memory plan: a rollout takes the memory that was planned, within a tenth") {
  const auto key_value_heads = GENERATE(std::int64_t{6}, std::int64_t{2});
  constexpr std::int64_t query = 128, response = 16;
  const llama_config model = wide_config(key_value_heads);
  constexpr std::size_t slots = 24;
  adapter_bank bank = wide_bank(model);
  bank.add_lora("policy", {.rank = 16}, rng{2});
  generation_engine engine(bank, "policy", {.slots = slots});
  const auto generate = [&](std::size_t count, std::int64_t prompt, std::int64_t length) {
    packed<token> prompts;
    std::vector<rng> streams;
    for (std::size_t i = 0; i < count; ++i) {
      prompts.push_back(random_tokens(static_cast<std::size_t>(prompt), 2000, i + 1));
      streams.emplace_back(i);
    }
    engine.generate(prompts, {.max_new_tokens = static_cast<std::size_t>(length)}, {}, streams);
  };
  generate(1, 8, 2);  // what libtorch makes once
  const tensor_memory memory;
  generate(slots, query, response);
  const double measured = memory.peak();

  memory_plan_options options = wide_plan(model);
  options.roles = {{.name = "policy", .ranks = sixteen}};
  options.query_tokens = query;
  options.response_tokens = response;
  options.slots = slots;
  const double planned = static_cast<double>(plan_memory(options).phases.front().bytes());
  CAPTURE(measured, planned);
  CHECK(planned == Approx(measured).epsilon(0.1));
}

TEST_CASE("memory plan: scoring by the base and by an adapter takes the memory that was planned, within a tenth") {
  const auto key_value_heads = GENERATE(std::int64_t{6}, std::int64_t{2});
  const llama_config model = wide_config(key_value_heads);
  adapter_bank bank = wide_bank(model);
  bank.add_base("reference");
  bank.add_lora("policy", {.rank = 16}, rng{2});
  for (const char* name : {"reference", "policy"}) {
    policy_role role(bank, name);
    role.log_probs(random_batch(1, 8));  // what libtorch makes once
    const tensor_memory memory;
    role.log_probs(random_batch(16, 128));
    const double measured = memory.peak();
    memory_plan_options options = wide_plan(model);
    options.roles = {{.name = name, .ranks = sixteen, .log_probs = true}};
    options.scoring_tokens = 16 * 256;
    const double planned = static_cast<double>(plan_memory(options).phases.front().bytes());
    CAPTURE(name, key_value_heads, measured, planned);
    CHECK(planned == Approx(measured).epsilon(0.1));
  }
}

TEST_CASE("memory plan: an update takes the memory that was planned, within a tenth") {
  const llama_config model = wide_config(6, GENERATE(false, true));
  const auto kind = GENERATE(recomputation::none, recomputation::selective, recomputation::full);
  const double dropout = kind == recomputation::selective ? 0.1 : 0;
  adapter_bank bank = wide_bank(model);
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
  const tensor_memory memory;
  update(random_batch(8, 128));
  const double measured = memory.peak();

  memory_plan_options options = wide_plan(model);
  options.recompute = kind;
  options.roles = {{.name = "policy", .ranks = sixteen, .trained = true, .log_probs = true}};
  options.micro_batch_tokens = 8 * 256;
  options.dropout = dropout;
  const double planned = static_cast<double>(plan_memory(options).phases.front().bytes());
  CAPTURE(measured, planned, dropout);
  CHECK(planned == Approx(measured).epsilon(0.1));
}
