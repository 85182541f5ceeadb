#include "plan/memory_plan.hpp"

#include <coho/error.hpp>

#include "architecture/storage_types.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/tiny_config.hpp"

using namespace coho::trainer;
using coho::test::tiny_config;

namespace {

memory_plan_options tiny_plan() {
  memory_plan_options out{.model = tiny_config(10), .base = base_storage::float32, .compute = compute_type::float32};
  out.query_tokens = 3;
  out.response_tokens = 5;
  return out;
}

const role_plan policy_plan{.name = "policy", .ranks = {{2, 2, 2, 2, 2, 2, 2}}, .trained = true, .log_probs = true};

const memory_phase& phase(const memory_plan& plan, const std::string& name) {
  for (const auto& p : plan.phases)
    if (p.name == name) return p;
  throw std::runtime_error("no phase " + name);
}

std::int64_t bytes(const memory_phase& p, const std::string& group, const std::string& name) {
  for (const auto& term : p.terms)
    if (term.group == group && term.name == name) return term.bytes;
  throw std::runtime_error("no term " + name);
}

// SPEC's 70B row, r = 64 on all linears, four roles over one base.
memory_plan_options seventy() {
  memory_plan_options out{
      .model = llama_config::from_file(coho::test::source_dir() / "reference_trainer/configs/llama-2-70b.json"),
      .base = base_storage::nf4_double,
      .recompute = recomputation::full};
  role_plan role{.name = "reference", .ranks = {{64, 64, 64, 64, 64, 64, 64}}, .log_probs = true};
  out.roles.push_back(role);
  role.name = "policy", role.trained = true;
  out.roles.push_back(role);
  role = {.name = "reward", .ranks = role.ranks, .scalar_head = true};
  out.roles.push_back(role);
  role.name = "value", role.trained = true;
  out.roles.push_back(role);
  out.slots = 6;
  out.scoring_tokens = out.micro_batch_tokens = 6 * 1280;
  out.sequences = 576;
  return out;
}

}  // namespace

TEST_CASE("memory plan: NF4 bytes of whole and broken blocks") {
  CHECK(nf4_bytes(64, false) == 32 + 4);
  CHECK(nf4_bytes(65, false) == 33 + 8);
  CHECK(nf4_bytes(1, false) == 1 + 4);
  CHECK(nf4_bytes(64, true) == 32 + 1 + 4 + 1024);
  CHECK(nf4_bytes(64 * 256 + 1, true) == 8193 + 257 + 8 + 1024);
}

TEST_CASE("memory plan: the tensors of a tiny model by hand") {
  const memory_plan_options options = tiny_plan();
  // q 8×8, k and v 4×8, o 8×8, gate and up 12×8, down 8×12: 480 a block.
  CHECK(linear_parameter_count(options.model) == 960);
  const memory_plan plan = plan_memory(options);
  CHECK(plan.group_bytes("base", "linears") == 4 * 960);
  CHECK(plan.group_bytes("base", "embedding") == 4 * 80);
  CHECK(plan.group_bytes("base", "head") == 4 * 80);
  CHECK(plan.group_bytes("base", "norms and biases") == 4 * 5 * 8);
  CHECK(plan.resident_bytes() == 4 * options.model.parameter_count());
  CHECK(plan.peak_bytes() == plan.resident_bytes());
  CHECK(plan.phases.empty());

  memory_plan_options packed = options;
  packed.base = base_storage::nf4;
  // 64 → 36 twice, 32 → 20 twice, 96 → 48 + 8 three times.
  CHECK(plan_memory(packed).group_bytes("base", "linears") == 2 * (2 * 36 + 2 * 20 + 3 * 56));
  packed.model.tie_word_embeddings = true;
  CHECK(plan_memory(packed).group_bytes("base", "head") == 0);
}

TEST_CASE("memory plan: an adapter's copies, master weights, gradients and moments by hand") {
  memory_plan_options options = tiny_plan();
  options.roles = {policy_plan};
  // r·(in + out): q 32, k and v 24, o 32, gate, up and down 40; two blocks.
  constexpr std::int64_t n = 2 * (32 + 24 + 24 + 32 + 40 + 40 + 40);
  CHECK(adapter_parameter_count(options.model, policy_plan.ranks) == n);
  CHECK(adapter_parameter_count(options.model, {{2, 0, 0, 0, 0, 0, 0}}) == 2 * 32);
  memory_plan plan = plan_memory(options);
  CHECK(plan.group_bytes("adapter") == 0);  // the master weights are what computes
  CHECK(plan.group_bytes("master weights") == 4 * n);
  CHECK(plan.group_bytes("gradients") == 4 * n);
  CHECK(plan.group_bytes("moments") == 8 * n);

  options.compute = compute_type::bfloat16;
  options.moments = moment_type::bfloat16;
  options.roles[0].scalar_head = true;
  plan = plan_memory(options);
  CHECK(plan.group_bytes("adapter", "policy") == 0);  // a linear's matrices are cast as they are used
  CHECK(plan.group_bytes("master weights") == 4 * (n + 9));
  CHECK(plan.group_bytes("moments") == 4 * (n + 9));
  options.moments = moment_type::eight_bit;
  CHECK(plan_memory(options).group_bytes("moments") == 2 * ((n + 9) + 4 * 2 + 1024));

  options.roles[0].trained = false;
  plan = plan_memory(options);
  CHECK(plan.group_bytes("adapter") == 2 * n);
  CHECK(plan.group_bytes("scalar head") == 4 * 9);
  CHECK(plan.group_bytes("master weights") + plan.group_bytes("gradients") + plan.group_bytes("moments") == 0);
}

TEST_CASE("memory plan: ranks may differ from block to block") {
  memory_plan_options options = tiny_plan();
  options.roles = {policy_plan};
  options.micro_batch_tokens = 8;
  options.recompute = recomputation::full;
  const memory_plan alike = plan_memory(options);
  options.roles[0].ranks = {policy_plan.ranks[0], policy_plan.ranks[0]};
  CHECK(plan_memory(options).peak_bytes() == alike.peak_bytes());
  // down_proj of block 1 has 5 in place of 2: 3·(8 + 12) numbers more, and with full recomputation 3 more of one block
  // at a time.
  options.roles[0].ranks[1][6] = 5;
  const memory_plan one = plan_memory(options);
  CHECK(adapter_parameter_count(options.model, options.roles[0].ranks) ==
        adapter_parameter_count(options.model, policy_plan.ranks) + 60);
  CHECK(one.group_bytes("master weights") == alike.group_bytes("master weights") + 4 * 60);
  CHECK(phase(one, "update").bytes() == phase(alike, "update").bytes() + 8 * 4 * 3);
  // Kept once where all is kept, not once a block.
  options.recompute = recomputation::none;
  const auto kept = bytes(phase(plan_memory(options), "update"), "activations", "kept for backward");
  options.roles[0].ranks = policy_plan.ranks;
  CHECK(kept == bytes(phase(plan_memory(options), "update"), "activations", "kept for backward") + 8 * 4 * 3);
  options.roles[0].ranks.resize(3);
  CHECK_THROWS_AS(plan_memory(options), coho::option_error);
}

TEST_CASE("memory plan: weights of a role's own are held in fp32, once when trained") {
  memory_plan_options options = tiny_plan();
  options.compute = compute_type::bfloat16;
  options.roles = {{.name = "policy", .full = true, .trained = true}, {.name = "reference", .full = true}};
  const memory_plan plan = plan_memory(options);
  const std::int64_t n = options.model.parameter_count();
  CHECK(plan.group_bytes("weights") == 4 * n);
  CHECK(plan.group_bytes("weights", "policy") == 0);
  CHECK(plan.group_bytes("master weights") == 4 * n);
}

TEST_CASE("memory plan: what each phase of a tiny model holds, by hand") {
  memory_plan_options options = tiny_plan();
  options.base = base_storage::nf4;
  options.roles = {policy_plan};
  options.slots = 2;
  options.scoring_tokens = 16;
  options.micro_batch_tokens = 8;
  options.sequences = 4;
  const memory_plan plan = plan_memory(options);
  const auto &rollout = phase(plan, "rollout"), &scoring = phase(plan, "scoring"), &update = phase(plan, "update");
  // Keys and values: 2 × 4 numbers × 2 blocks × 8 positions × 4 bytes a slot.
  CHECK(bytes(rollout, "cache", "keys and values") == 2 * 512);
  CHECK(bytes(rollout, "logits", "of a step") == 2 * 10 * 4);
  CHECK(bytes(rollout, "scratch", "dequantised linear") == 96 * 4);
  // Attention is the larger part here: 8 + 2·(8 + 8) + 5·8 numbers per token.
  CHECK(forward_working_bytes(options) == 4 * 80);
  CHECK(bytes(rollout, "activations", "working set") == 6 * 4 * 80);
  CHECK(bytes(scoring, "activations", "working set") == 16 * 4 * 80);
  // The head takes 2·16·8·4 + 10·8·8 and a block of 10·10·4: less, and at another moment.
  CHECK(scoring.terms.size() == 2);
  // Selective: x, x2, q, k, v, attention's output, gate, up, seven ranks, and two log-sum-exps.
  CHECK(activation_bytes(options, policy_plan.ranks[0], recomputation::selective) == 4 * (16 + 16 + 8 + 24 + 14) + 8);
  CHECK(activation_bytes(options, policy_plan.ranks[0], recomputation::none) ==
        4 * (16 + 16 + 8 + 24 + 14 + 16 + 12) + 8);
  CHECK(activation_bytes(options, policy_plan.ranks[0], recomputation::full) == 32);
  CHECK(bytes(update, "activations", "kept for backward") == 8 * 2 * 320);
  // Attention again: 3·8 + 9·8 less the feed-forward half's input, gate and up, against 8 + 4·12.
  CHECK(backward_working_bytes(options) == 4 * (96 - 32));
  CHECK(bytes(update, "activations", "working set") == 8 * 4 * 64);
  CHECK(bytes(update, "scratch", "dequantised linear") == 96 * 4);
  // Going back through the head takes 3·8·32 + 5·8·8 and a block of 5·10·4: less, and at another moment.
  CHECK(update.terms.size() == 3);
  memory_plan_options wide = options;
  wide.response_tokens = 4000;
  wide.query_tokens = 1;
  wide.sequences = 0;
  wide.roles[0].log_probs = true;
  wide.log_prob_columns = wide.model.vocab_size = 10'000;
  const memory_plan by_head = plan_memory(wide);
  CHECK(bytes(phase(by_head, "update"), "activations", "response positions") == 3 * 8 * 32 + 8 * 8 * 8);
  CHECK(bytes(phase(by_head, "update"), "scratch", "blocks of logits") == 8 * 10'000 * 4);
  CHECK(bytes(phase(by_head, "scoring"), "activations", "response positions") == 2 * 16 * 32 + 16 * 8 * 8);
  CHECK(bytes(phase(by_head, "scoring"), "scratch", "blocks of logits") == 16 * 10'000 * 4);
  options.recompute = recomputation::full;
  // The block's input, and of one block all that backward reads with 8 + 3·12 numbers on top.
  CHECK(bytes(phase(plan_memory(options), "update"), "activations", "working set") ==
        8 * (activation_bytes(options, policy_plan.ranks[0], recomputation::none) + 4 * 44));
  CHECK(plan.peak_bytes() == plan.resident_bytes() + std::max({rollout.bytes(), scoring.bytes(), update.bytes()}));
  CHECK(plan.phase_bytes(update) == plan.resident_bytes() + update.bytes());
  CHECK(plan.host[0].bytes == 4 * 8 * 4);
  CHECK(plan.host[1].bytes == 4 * 5 * 56);
}

TEST_CASE("memory plan: dropout's numbers are drawn a piece at a time for the widest input that is adapted") {
  memory_plan_options options = tiny_plan();
  options.roles = {policy_plan};
  options.micro_batch_tokens = 8;
  const auto without = plan_memory(options).peak_bytes();
  options.dropout = 0.1;
  // down_proj reads 12 numbers per token: 24 blocks of 4·8 + 4·4 + 1 bytes.
  CHECK(plan_memory(options).peak_bytes() == without + 24 * 49);
  CHECK(bytes(phase(plan_memory(options), "update"), "scratch", "numbers of dropout") == 24 * 49);
  options.dropout_blocks = 5;
  CHECK(plan_memory(options).peak_bytes() == without + 5 * 49);
  options.dropout_blocks = 0;
  CHECK(plan_memory(options).peak_bytes() == without);
  options.dropout_blocks = 1 << 20;
  options.roles[0].ranks[0][6] = 0;
  const auto narrow = plan_memory(options);
  CHECK(bytes(phase(narrow, "update"), "scratch", "numbers of dropout") == 16 * 49);
  options.dropout = 1;
  CHECK_THROWS_AS(plan_memory(options), coho::option_error);
}

TEST_CASE("memory plan: no batch is larger than the sequences there are") {
  memory_plan_options options = tiny_plan();
  options.roles = {policy_plan};
  options.micro_batch_tokens = 1000;
  options.sequences = 2;
  const auto few = plan_memory(options).peak_bytes();
  options.micro_batch_tokens = 16;
  CHECK(plan_memory(options).peak_bytes() == few);
  options.micro_batch_tokens = 15;
  CHECK(plan_memory(options).peak_bytes() < few);
}

TEST_CASE("memory plan: the parts of a 70B state agree with independent figures") {
  const memory_plan_options options = seventy();
  const memory_plan plan = plan_memory(options);
  CHECK(linear_parameter_count(options.model) == 68'451'041'280);
  CHECK(plan.group_bytes("base") / 1e9 == Approx(36.4).margin(0.05));
  CHECK(adapter_parameter_count(options.model, options.roles[0].ranks) == 828'375'040);
  CHECK(plan.group_bytes("adapter", "reward") / 1e9 == Approx(1.66).margin(0.005));
  CHECK((plan.group_bytes("master weights") + plan.group_bytes("gradients") + plan.group_bytes("moments")) / 1e9 ==
        Approx(26.5).margin(0.05));
  CHECK(bytes(phase(plan, "rollout"), "cache", "keys and values") == 6LL * 1280 * 327'680);
}

TEST_CASE("memory plan: SALMON's 70B state fits 78 GiB at a per-device batch of 6, and 80 GB with bf16 moments") {
  memory_plan_options options = seventy();
  constexpr double gibibyte = 1024.0 * 1024.0 * 1024.0;
  CHECK(static_cast<double>(plan_memory(options).peak_bytes()) <= 78 * gibibyte);
  CHECK(static_cast<double>(plan_memory(options).peak_bytes()) / gibibyte == Approx(74.8).margin(0.1));
  // The recipe goes through the batch in two halves, which changes no result.
  options.micro_batch_tokens = 3 * 1280;
  CHECK(static_cast<double>(plan_memory(options).peak_bytes()) / gibibyte == Approx(68.4).margin(0.1));
  options.micro_batch_tokens = 6 * 1280;
  options.moments = moment_type::bfloat16;
  CHECK(static_cast<double>(plan_memory(options).peak_bytes()) <= 80e9);
  CHECK(static_cast<double>(plan_memory(options).peak_bytes()) >= 70e9);  // not by leaving something out
}

TEST_CASE("memory plan: more of anything is never less memory") {
  const memory_plan_options options = seventy();
  const auto peak = [](memory_plan_options o, auto change) {
    change(o);
    return plan_memory(o).peak_bytes();
  };
  const auto base = plan_memory(options).peak_bytes();
  CHECK(peak(options, [](auto& o) { o.recompute = recomputation::selective; }) > base);
  CHECK(peak(options, [](auto& o) { o.recompute = recomputation::none; }) >
        peak(options, [](auto& o) { o.recompute = recomputation::selective; }));
  CHECK(peak(options, [](auto& o) { o.base = base_storage::nf4; }) > base);
  CHECK(peak(options, [](auto& o) { o.base = base_storage::bfloat16; }) >
        peak(options, [](auto& o) { o.base = base_storage::nf4; }));
  CHECK(peak(options, [](auto& o) { o.base = base_storage::float32; }) >
        peak(options, [](auto& o) { o.base = base_storage::bfloat16; }));
  CHECK(peak(options, [](auto& o) { o.compute = compute_type::float32; }) > base);
  CHECK(peak(options, [](auto& o) { o.moments = moment_type::eight_bit; }) <
        peak(options, [](auto& o) { o.moments = moment_type::bfloat16; }));
  CHECK(peak(options, [](auto& o) { o.micro_batch_tokens += 1280; }) > base);
  CHECK(peak(options, [](auto& o) { o.scoring_tokens = 1 << 18; }) > base);
  CHECK(peak(options, [](auto& o) { o.slots = 64; }) > base);
  // The head's part is smaller than a block's here: many blocks of logits show it.
  memory_plan_options scoring = options;
  scoring.log_prob_blocks = 64;
  scoring.slots = scoring.micro_batch_tokens = 0;
  const auto scored = plan_memory(scoring).peak_bytes();
  CHECK(peak(scoring, [](auto& o) { o.entropy = true; }) > scored);
  CHECK(peak(scoring, [](auto& o) { o.log_prob_columns *= 2; }) > scored);
  CHECK(peak(options, [](auto& o) { o.roles[0].ranks[0][6] += 1; }) > base);
  CHECK(peak(options, [](auto& o) { o.roles.push_back(policy_plan); }) > base);
}

TEST_CASE("memory plan: sizes out of range are refused by name") {
  for (auto member :
       {&memory_plan_options::slots, &memory_plan_options::scoring_tokens, &memory_plan_options::micro_batch_tokens,
        &memory_plan_options::sequences, &memory_plan_options::query_tokens}) {
    memory_plan_options options = tiny_plan();
    options.*member = -1;
    CHECK_THROWS_AS(plan_memory(options), coho::option_error);
  }
  memory_plan_options options = tiny_plan();
  options.roles = {policy_plan};
  options.roles[0].ranks[0][2] = -1;
  CHECK_THROWS_WITH(plan_memory(options), Catch::Matchers::ContainsSubstring("rank"));
  options = tiny_plan();
  options.query_tokens = options.response_tokens = 0;
  CHECK_THROWS_AS(plan_memory(options), coho::option_error);
}

TEST_CASE("memory plan: a shared prefix is held once, whatever the number of slots") {
  memory_plan_options options = tiny_plan();
  options.slots = 4;
  CHECK(bytes(phase(plan_memory(options), "rollout"), "cache", "keys and values") == 4 * 2 * 4 * 2 * 8 * 4);
  options.prefix_tokens = 100;
  const auto plan = plan_memory(options);
  CHECK(bytes(phase(plan, "rollout"), "cache", "keys and values") == 4 * 2 * 4 * 2 * 8 * 4);
  CHECK(bytes(phase(plan, "rollout"), "cache", "shared prefix") == 2 * 4 * 2 * 100 * 4);
  options.prefix_tokens = -1;
  CHECK_THROWS_AS(plan_memory(options), coho::option_error);
}

TEST_CASE("memory plan: shards on one device have their gradients summed in double while a role is updated") {
  memory_plan_options options = tiny_plan();
  options.micro_batch_tokens = 8;
  options.roles = {policy_plan, {.name = "value", .ranks = policy_plan.ranks, .scalar_head = true, .trained = true}};
  const memory_plan one = plan_memory(options);
  options.shards = 2;
  const memory_plan several = plan_memory(options);
  // Numbers of an adapter as above, twice, and the head's.
  constexpr std::int64_t sum = 8 * (2 * 2 * (32 + 24 + 24 + 32 + 40 + 40 + 40) + 9);
  CHECK(bytes(phase(several, "update"), "gradients", "sum of shards") == sum);
  CHECK(phase(several, "update").bytes() == phase(one, "update").bytes() + sum);
  CHECK(several.resident_bytes() == one.resident_bytes());
  options.shards = 0;
  CHECK_THROWS_AS(plan_memory(options), coho::option_error);
}
