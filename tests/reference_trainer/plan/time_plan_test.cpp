#include "plan/time_plan.hpp"

#include <coho/error.hpp>

#include "architecture/storage_types.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"

using namespace coho::trainer;

namespace {

llama_config shipped_config(const std::string& name) {
  return llama_config::from_file(coho::test::source_dir() / "reference_trainer/configs" / (name + ".json"));
}

// The step of SALMON's paper: 576 rollouts of 256 + 1024 tokens, two epochs, r = 64.
time_plan_options salmon() {
  time_plan_options out{.sequences = 576, .epochs = 2};
  out.sizes.model = shipped_config("llama-2-70b");
  out.sizes.base = base_storage::nf4_double;
  out.sizes.recompute = recomputation::full;
  out.sizes.roles = {{.name = "policy", .ranks = {{64, 64, 64, 64, 64, 64, 64}}, .trained = true, .log_probs = true},
                     {.name = "value", .ranks = {{64, 64, 64, 64, 64, 64, 64}}, .scalar_head = true, .trained = true}};
  out.sizes.scoring_tokens = out.sizes.micro_batch_tokens = 10240;
  out.sizes.slots = 144;
  out.scoring = {{"policy", true}, {"value", false}};
  return out;
}

const phase_work& phase(const time_plan& plan, const std::string& name) {
  for (const auto& p : plan.phases)
    if (p.name == name) return p;
  throw std::runtime_error("no phase " + name);
}

}  // namespace

TEST_CASE("time plan: a tiny model's FLOPs and bytes by hand") {
  time_plan_options options{.sequences = 2, .epochs = 3};
  auto& m = options.sizes.model;
  m.vocab_size = 10, m.hidden_size = 8, m.intermediate_size = 12, m.num_hidden_layers = 2;
  m.num_attention_heads = 2, m.num_key_value_heads = 1, m.head_dim = 4;
  options.sizes.compute = compute_type::float32;
  options.sizes.query_tokens = 2, options.sizes.response_tokens = 4;
  options.sizes.roles = {{.name = "policy", .ranks = {{2, 2, 2, 2, 2, 2, 2}}, .trained = true, .log_probs = true}};
  options.sizes.slots = 2;
  options.sizes.scoring_tokens = 6;
  options.sizes.micro_batch_tokens = 12;
  options.scoring = {{"policy", true}, {"base", false}};
  const time_plan plan = plan_time(options, {.bandwidth = 100, .flops = 1000});
  REQUIRE(plan.phases.size() == 4);
  // 960 weights, an adapter of 464, a head of 80; attention 4·8·2 a position seen.
  const auto& reference = phase(plan, "base");
  CHECK(reference.flops == 12 * (2 * 960 + 64 * 3));
  CHECK(reference.bytes == 2 * 960 * 4);  // two forwards of six tokens
  CHECK(reference.seconds == Approx(7680 / 100.0));
  CHECK(reference.dequantize_bytes == 0);
  CHECK(phase(plan, "policy").flops == 12 * (2 * (960 + 464) + 64 * 3) + 8 * 2 * 80);
  // Forward, and backward with twice the adapter's and attention's share; head both ways at 8 positions, three epochs.
  const auto& update = phase(plan, "update of policy");
  CHECK(update.flops == 36 * (4 * 960 + 6 * 464 + 3 * 64 * 3) + 3 * 8 * 2 * 2 * 80);
  CHECK(update.bytes == 3 * 2 * (960 + 464) * 4);
  // Four steps of two slots that see four positions on average; a prompt's tokens see one.
  const auto& generation = phase(plan, "generation");
  CHECK(generation.flops == 4 * 2 * (2 * (960 + 464 + 80) + 64 * 4) + 4 * (2 * (960 + 464) + 64));
  CHECK(generation.bytes == 4 * ((960 + 464 + 80) * 4 + 2 * 2 * 4 * 2 * 4 * 4) + (960 + 464) * 4);
  CHECK(plan.seconds() ==
        Approx(reference.seconds + phase(plan, "policy").seconds + update.seconds + generation.seconds));
}

TEST_CASE("time plan: recomputation adds a forward, own weights add their gradients") {
  time_plan_options options = salmon();
  const machine_rates rates{.bandwidth = 4.3e12, .flops = 790e12};
  const auto update = [&] { return phase(plan_time(options, rates), "update of policy").flops; };
  const double full = update();
  options.sizes.recompute = recomputation::selective;
  const double selective = update();
  CHECK(update() == selective);
  // Two epochs of a forward without the head.
  const double forward = phase(plan_time(options, rates), "value").flops;
  CHECK(full - selective == Approx(2 * forward));
  options.sizes.roles[0].full = true;
  CHECK(update() > 1.4 * selective);
}

TEST_CASE("time plan: an NF4 weight is read from its codes for a few rows and dequantised for many") {
  time_plan_options options = salmon();
  options.sequences = 8;
  options.sizes.slots = 8;
  const machine_rates rates{.bandwidth = 4.3e12, .flops = 790e12};
  const auto direct = phase(plan_time(options, rates), "generation");
  options.sequences = options.sizes.slots = 16;
  const auto many = phase(plan_time(options, rates), "generation");
  CHECK(direct.dequantize_bytes * 100 < many.dequantize_bytes);
  CHECK(many.seconds > 3 * direct.seconds);
  options.sizes.base = base_storage::bfloat16;
  CHECK(phase(plan_time(options, rates), "generation").dequantize_bytes == 0);
}

TEST_CASE("time plan: a 70B SALMON step agrees with independent figures for one H200") {
  const time_plan_options options = salmon();
  const time_plan plan = plan_time(options, {.bandwidth = 4.3e12, .flops = 790e12});
  // 131 s a scoring pass at the card's peak, and 1588 s for two models of two epochs with full recomputation;
  // dequantising the linears for every micro-batch of 10240 tokens is on top.
  CHECK(phase(plan, "policy").flops / 790e12 == Approx(131).margin(1));
  const double updates = phase(plan, "update of policy").flops + phase(plan, "update of value").flops;
  CHECK(updates / 790e12 == Approx(1588).epsilon(0.01));
  CHECK(phase(plan, "policy").seconds < 1.05 * 131);
  // Decoding in batches of 144 computes, rather than reads: 20.0 TFLOP a step.
  CHECK(phase(plan, "generation").flops / 1e15 == Approx(4 * 1024 * 0.0203 + 576 * 256 * 1.4e-4).epsilon(0.03));
}

TEST_CASE("time plan: impossible sizes and rates are refused") {
  CHECK_THROWS_AS(plan_time(salmon(), {.bandwidth = 0, .flops = 1}), coho::option_error);
  CHECK_THROWS_AS(plan_time(salmon(), {.bandwidth = 1, .flops = -1}), coho::option_error);
  time_plan_options options = salmon();
  options.sequences = 0;
  CHECK_THROWS_AS(plan_time(options, {.bandwidth = 1, .flops = 1}), coho::option_error);
}

TEST_CASE("time plan: a shared prefix is attended to by all, and computed for none") {
  time_plan_options options = salmon();
  options.sizes.scoring_tokens = options.sizes.micro_batch_tokens = 0;
  options.scoring.clear();
  const machine_rates rates{.bandwidth = 4.3e12, .flops = 790e12};
  const auto generation = [&] { return phase(plan_time(options, rates), "generation"); };
  const auto plain = generation();
  options.sizes.prefix_tokens = 1000;
  const auto shared = generation();
  // 4·A·D·L·1000 of attention for each of 576 · 1280 tokens, and nothing else.
  CHECK(shared.flops - plain.flops == Approx(4.0 * 8192 * 80 * 1000 * 576 * 1280));
  // One reading of its keys and values a step: 4 waves of 1024 steps.
  CHECK(shared.bytes - plain.bytes == Approx(2.0 * 1024 * 80 * 2 * 1000 * 4 * 1024));
  options.sizes.prefix_tokens = 0;
  options.sizes.query_tokens += 1000;
  CHECK(generation().flops > 1.5 * shared.flops);
}
