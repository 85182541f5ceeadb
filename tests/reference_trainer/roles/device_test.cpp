// A whole model on a GPU beside the same on the CPU: what mixes tensors of two devices, or reads one's memory from the
// other, ends here. Without a GPU the CPU is held against itself.
#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "generation/engine.hpp"
#include "optimization/adamw.hpp"
#include "roles/policy_role.hpp"
#include "roles/value_role.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using coho::test::largest_difference;

namespace {

struct setting {
  at::ScalarType compute = at::kFloat;
  recomputation recompute = recomputation::selective;
  moment_type moments = moment_type::float32;
  double dropout = 0;
};

struct outcome {
  std::vector<double> log_probs, entropies, values;
  at::Tensor policy_gradient, value_gradient, policy_parameters;
  std::vector<token> generated;
  double norm = 0;
};

llama_config config_for_devices() {
  llama_config config = test::small_config();
  config.hidden_size = 64;
  config.intermediate_size = 128;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.vocab_size = 97;
  return config;
}

// Policy and value model over one NF4 base: generation, a forward and backward of each, a step of the optimizer.
outcome outcome_on(at::Device device, const setting& s) {
  const weight_form form{.type = s.compute, .device = device, .quantize = nf4_options{}};
  adapter_bank bank(llama_weights::random(config_for_devices(), rng{3}, 0.1, form));
  bank.set_recomputation(s.recompute);
  bank.set_dropout_random(rng{4});
  const lora_options lora{.rank = 8, .dropout = s.dropout};
  bank.add_lora("policy", lora, rng{5});
  bank.modify("policy").adapter.visit([&](const std::string&, lora_pair& pair) {
    pair.b = test::random_tensor(pair.b.sizes().vec(), 6).mul_(0.05).to(device);
  });
  bank.copy("policy", "value");
  bank.set_head("value", test::random_tensor({1, 64}, 7), at::zeros({1}));
  bank.copy("policy", "reference");
  bank.freeze("reference");
  parameter_set &policy_parameters = bank.train("policy"), &value_parameters = bank.train("value");
  adamw optimizer(policy_parameters, {.moments = s.moments});

  policy_role policy(bank, "policy", {.banned = {5}, .engine = {.slots = 2}});
  value_role value(bank, "value");
  token_batch batch;
  for (const std::size_t length : {3, 7, 5}) {
    batch.prompts.push_back(test::random_tokens(length, 97, length));
    batch.responses.push_back(std::vector<token>{11, 12, 13, 14});
  }
  outcome out;
  std::vector<rng> streams(3, rng{8});
  out.generated =
      policy.generate(batch.prompts, {.max_new_tokens = 6, .temperature = 0}, std::span(streams)).responses.values;
  {
    auto [output, pullback] = policy.forward(batch);
    out.log_probs = output.log_probs;
    out.entropies = output.entropy;
    const std::vector<double> ones(output.log_probs.size(), 1.0), halves(output.log_probs.size(), 0.5);
    pullback({.log_probs = ones, .entropy = halves});
  }
  {
    auto [output, pullback] = value.forward(batch);
    out.values = output.values;
    const std::vector<double> ones(output.values.size(), 1.0);
    pullback({.values = ones});
  }
  out.norm = policy.squared_gradient_norm();
  policy.scale_gradients(0.5);
  out.policy_gradient = policy_parameters.gradients().cpu().clone();
  out.value_gradient = value_parameters.gradients().cpu().clone();
  const std::vector<double> reference = policy_role(bank, "reference", {.banned = {5}}).log_probs(batch);
  CHECK(reference.size() == out.log_probs.size());
  for (int step = 0; step < 2; ++step) optimizer.step(1e-2);
  out.policy_parameters = policy_parameters.values().cpu().clone();
  return out;
}

at::Device other_device() {
  if (at::hasCUDA()) return at::Device(at::kCUDA, 0);
  WARN("no CUDA device: the CPU is held against itself");
  return at::kCPU;
}

double apart(const at::Tensor& a, const at::Tensor& b) {
  return largest_difference(a, b) / b.abs().max().item<double>();
}

double apart(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out = std::max(out, std::abs(a[i] - b[i]));
  return out;
}

void check_alike(const outcome& a, const outcome& b, double tolerance) {
  CHECK(apart(a.log_probs, b.log_probs) < tolerance);
  CHECK(apart(a.entropies, b.entropies) < tolerance);
  CHECK(apart(a.values, b.values) < 10 * tolerance);
  CHECK(apart(a.policy_gradient, b.policy_gradient) < tolerance);
  CHECK(apart(a.value_gradient, b.value_gradient) < tolerance);
  CHECK(a.norm == Approx(b.norm).epsilon(2 * tolerance));
}

}  // namespace

TEST_CASE("a model on a device samples, scores, learns and steps as on the CPU") {
  const at::Device device = other_device();
  for (const recomputation recompute : {recomputation::selective, recomputation::full, recomputation::none}) {
    const setting s{.recompute = recompute, .dropout = 0.1};
    const outcome there = outcome_on(device, s), here = outcome_on(at::kCPU, s);
    check_alike(there, here, 2e-4);
    CHECK(there.generated == here.generated);
    // A first step of Adam moves a number whose gradient is next to nothing anywhere: the mean, then.
    CHECK((there.policy_parameters - here.policy_parameters).abs().mean().item<double>() < 1e-4);
  }
}

TEST_CASE("a model in bfloat16 on a device agrees with the CPU's to its precision, with each kind of moments") {
  const at::Device device = other_device();
  for (const moment_type moments : {moment_type::bfloat16, moment_type::eight_bit}) {
    const setting s{.compute = at::kBFloat16, .recompute = recomputation::full, .moments = moments};
    const outcome there = outcome_on(device, s), here = outcome_on(at::kCPU, s);
    check_alike(there, here, 0.15);
    CHECK((there.policy_parameters - here.policy_parameters).abs().mean().item<double>() < 1e-2);
  }
}
