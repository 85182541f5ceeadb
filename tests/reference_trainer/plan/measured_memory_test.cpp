// A plan against what a bank of roles really holds.
#include "adapters/adapter_bank.hpp"
#include "optimization/adamw.hpp"
#include "plan/memory_plan.hpp"
#include "support/catch.hpp"
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
  const std::array<std::int64_t, 7> ranks{3, 3, 3, 3, 3, 3, 3};
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
