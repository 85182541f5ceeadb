#include "llama/adapter_bank.hpp"

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

const std::vector<token> sequence{3, 1, 4, 1, 5, 9, 2, 6};

void fill_b(adapter_bank& bank, const std::string& role) {
  std::uint64_t seed = 50;
  bank.modify(role).adapter.visit(
      [&](const std::string&, lora_pair& pair) { pair.b = random_tensor(pair.b.sizes().vec(), ++seed) * 0.1; });
}

}  // namespace

TEST_CASE("adapter_bank: roles share the base's memory") {
  adapter_bank bank(small_weights());
  const auto base = bank.bytes();
  CHECK(base == small_config().parameter_count() * 4);
  bank.add_base("reference");
  CHECK(bank.bytes() == base);
  bank.add_lora("policy", {.rank = 2, .targets = {linear_kind::q}}, rng{1});
  // Two blocks, q_proj 16 × 16: A [2, 16] and B [16, 2].
  CHECK(bank.bytes() == base + 2 * (2 * 16 + 16 * 2) * 4);
  bank.train("policy");
  // The gradients are not counted: they are no part of the model.
  CHECK(bank.bytes() == base + 2 * (2 * 16 + 16 * 2) * 4);
  bank.add_full("own");
  CHECK(bank.bytes() == 2 * base + 2 * (2 * 16 + 16 * 2) * 4);
  CHECK_THROWS_AS(bank.add_base("policy"), argument_error);
  CHECK_THROWS_AS(bank.at("nobody"), argument_error);
  CHECK_THROWS_AS(bank.train("reference"), argument_error);
  CHECK_THROWS_AS(bank.parameters("own"), argument_error);
}

TEST_CASE("adapter_bank: a fresh adapter changes nothing, a filled one what its merged weights do") {
  adapter_bank bank(small_weights());
  bank.add_base("base");
  bank.add_lora("policy", {.rank = 3, .alpha = 6}, rng{1});
  const auto plain = logits_of(bank, "base", sequence);
  CHECK(at::equal(logits_of(bank, "policy", sequence), plain));
  fill_b(bank, "policy");
  const auto adapted = logits_of(bank, "policy", sequence);
  CHECK(largest_difference(adapted, plain) > 0.01);
  bank.add_full("merged", bank.at("policy").adapter.merge(bank.base()));
  CHECK(largest_difference(logits_of(bank, "merged", sequence), adapted) < 1e-4);
  CHECK(at::equal(logits_of(bank, "base", sequence), plain));
}

TEST_CASE("adapter_bank: a copy goes its own way") {
  adapter_bank bank(small_weights());
  bank.add_lora("policy", {.rank = 2}, rng{1});
  fill_b(bank, "policy");
  bank.add_head("policy");
  bank.copy("policy", "value");
  const auto before = logits_of(bank, "value", sequence);
  CHECK(at::equal(before, logits_of(bank, "policy", sequence)));
  bank.train("policy");
  {
    const at::NoGradGuard no_gradient;
    bank.parameters("policy").values().add_(0.1);
  }
  CHECK(largest_difference(logits_of(bank, "policy", sequence), before) > 0.01);
  CHECK(at::equal(logits_of(bank, "value", sequence), before));
  CHECK(bank.at("value").head.defined());
}

TEST_CASE("adapter_bank: gradients arrive in the one buffer, and the buffer is what runs") {
  const bool tied = GENERATE(true, false);
  const llama_weights weights = tied ? small_weights(0, true) : small_weights_with_biases_and_head_norms();
  adapter_bank bank(weights);
  bank.add_full("own");
  auto& parameters = bank.train("own");
  CHECK(&parameters == &bank.train("own"));
  // A tied head is the embedding itself: trained once, read in both places.
  CHECK(parameters.count() == weights.config.parameter_count());
  CHECK((bank.head("own").data_ptr() == bank.at("own").weights.embedding.data_ptr()) == tied);
  const std::int64_t length[] = {static_cast<std::int64_t>(sequence.size())};
  const auto forward = [&] {
    const auto hidden = bank.hidden("own", token_tensor(sequence), sequence_layout(length));
    return at::matmul(hidden, bank.head("own").t()).square().mean();
  };
  forward().backward();
  CHECK(parameters.gradients().abs().sum().item<double>() > 0);
  // Central differences in the direction of the gradient.
  const at::Tensor gradient = parameters.gradients().clone(), direction = gradient / gradient.norm();
  const auto along = [&](double step) {
    const at::NoGradGuard no_gradient;
    parameters.values().add_(direction, step);
    const double out = forward().item<double>();
    parameters.values().sub_(direction, step);
    return out;
  };
  const double numeric = (along(1e-2) - along(-1e-2)) / 2e-2;
  CHECK(numeric == Approx(gradient.norm().item<double>()).epsilon(2e-2));
  parameters.zero_gradients();
  CHECK(bank.at("own").weights.embedding.grad().abs().sum().item<double>() == 0);
}

TEST_CASE("adapter_bank: the scalar head is w·h + b") {
  adapter_bank bank(small_weights());
  bank.add_base("reward");
  bank.set_head("reward", at::ones({1, 16}), at::full({1}, 2.5));
  const at::Tensor hidden = random_tensor({3, 16}, 8);
  CHECK(largest_difference(bank.scalar_output("reward", hidden), hidden.sum(1) + 2.5) < 1e-5);
  CHECK_THROWS_AS(bank.set_head("reward", at::ones({1, 15}), at::zeros({1})), argument_error);
  bank.add_base("policy");
  CHECK_THROWS_AS(bank.scalar_output("policy", hidden), argument_error);
}

namespace {

std::int64_t bytes_of(const nf4_tensor& packed) {
  std::int64_t total = static_cast<std::int64_t>(packed.codes.nbytes() + packed.absmax.nbytes());
  if (packed.double_quantized())
    total += static_cast<std::int64_t>(packed.nested_absmax.nbytes() + packed.nested_map.nbytes());
  return total;
}

// Loss and gradients of a role with a filled adapter and a head, over a given base.
at::Tensor gradients_over(llama_weights base, recomputation kind, double* loss = nullptr) {
  adapter_bank bank(std::move(base));
  bank.set_recomputation(kind);
  bank.add_lora("policy", {.rank = 3, .alpha = 6}, rng{1});
  fill_b(bank, "policy");
  bank.add_head("policy");
  auto& parameters = bank.train("policy");
  const std::int64_t lengths[] = {5, 3};
  const at::Tensor hidden = bank.hidden("policy", token_tensor(sequence), sequence_layout(lengths));
  const at::Tensor value = at::log_softmax(at::matmul(hidden, bank.head("policy").t()), 1).square().mean() +
                           bank.scalar_output("policy", hidden).sum();
  value.backward();
  if (loss != nullptr) *loss = value.item<double>();
  return parameters.gradients().clone();
}

}  // namespace

TEST_CASE("adapter_bank: four roles over one packed base hold its bytes once") {
  const llama_config config = small_config();
  llama_weights base = llama_weights::random(config, rng{7}, 0.3, {.quantize = nf4_options{}});
  std::int64_t expected = static_cast<std::int64_t>(base.embedding.nbytes() + base.head.nbytes() + base.norm.nbytes());
  for (const auto& block : base.blocks) {
    expected += static_cast<std::int64_t>(block.input_norm.nbytes() + block.post_attention_norm.nbytes());
    for (const auto& weight : block.linears) expected += bytes_of(weight.packed());
  }
  adapter_bank bank(base);
  CHECK(bank.bytes() == expected);
  const lora_options options{.rank = 2};
  std::int64_t adapter = 0;
  for (const std::string role : {"policy", "reference", "reward"}) {
    bank.add_lora(role, options, rng{1});
    if (adapter == 0) adapter = bank.bytes() - expected;
  }
  bank.add_head("reward");
  bank.copy("reward", "value");
  CHECK(adapter == 2 * 2 * 4 * (2 * (16 + 16) + 2 * (16 + 8) + 3 * (16 + 24)));
  CHECK(bank.bytes() == expected + 4 * adapter + 2 * (16 + 1) * 4);
  bank.train("policy");
  bank.train("value");
  CHECK(bank.bytes() == expected + 4 * adapter + 2 * (16 + 1) * 4);
  CHECK(bank.at("value").weights.blocks[0].linears[0].packed().codes.data_ptr() ==
        base.blocks[0].linears[0].packed().codes.data_ptr());
  CHECK_THROWS_AS(bank.add_full("own"), argument_error);
}

TEST_CASE("adapter_bank: adapters learn over a packed base what they learn over the unpacked one") {
  const llama_weights packed = llama_weights::random(small_config(), rng{7}, 0.3, {.quantize = nf4_options{}});
  llama_weights unpacked = packed;
  for (auto& block : unpacked.blocks)
    for (auto& weight : block.linears) weight = weight.values(at::kFloat);
  const at::Tensor over_packed = gradients_over(packed, recomputation::selective);
  const at::Tensor over_unpacked = gradients_over(unpacked, recomputation::selective);
  CHECK(over_unpacked.norm().item<double>() > 0.1);
  CHECK((over_packed - over_unpacked).norm().item<double>() <= 1e-5 * over_unpacked.norm().item<double>());
}

TEST_CASE("adapter_bank: whatever is kept for backward, the gradients are the same bits") {
  for (const llama_weights& weights : {small_weights(), small_weights_with_biases_and_head_norms()}) {
    double kept_loss = 0, loss = 0;
    const at::Tensor kept = gradients_over(weights, recomputation::none, &kept_loss);
    for (const recomputation kind : {recomputation::selective, recomputation::full}) {
      CHECK(at::equal(gradients_over(weights, kind, &loss), kept));
      CHECK(loss == kept_loss);
    }
  }
}

TEST_CASE("adapter_bank: dropout acts where a role is trained, another one each pass, the same after a resume") {
  adapter_bank bank(small_weights());
  bank.set_recomputation(recomputation::full);
  bank.add_lora("policy", {.rank = 3, .dropout = 0.5}, rng{1});
  fill_b(bank, "policy");
  auto& parameters = bank.train("policy");
  const auto forward = [&] {
    const std::int64_t length[] = {static_cast<std::int64_t>(sequence.size())};
    return bank.hidden("policy", token_tensor(sequence), sequence_layout(length));
  };
  at::Tensor without;
  {
    const at::NoGradGuard no_gradient;
    without = forward();
    CHECK(at::equal(forward(), without));
  }
  CHECK(parameters.draws() == 0);
  const at::Tensor first = forward(), second = forward();
  CHECK(parameters.draws() == 2);
  CHECK_FALSE(at::equal(first, without));
  CHECK_FALSE(at::equal(first, second));
  parameters.set_draws(1);
  CHECK(at::equal(forward(), second));
  const at::Tensor weights = random_tensor({8, 16}, 77);
  // Backward of the full recomputation takes the same elements out again: central differences agree.
  const auto along = [&](const at::Tensor& direction, double step) {
    const at::NoGradGuard no_gradient;
    parameters.values().add_(direction, step);
    const at::AutoGradMode gradients(true);
    parameters.set_draws(5);
    const double out = (forward() * weights).sum().item<double>();
    parameters.values().detach().sub_(direction, step);
    return out;
  };
  parameters.zero_gradients();
  parameters.set_draws(5);
  (forward() * weights).sum().backward();
  const at::Tensor gradient = parameters.gradients().clone(), direction = gradient / gradient.norm();
  CHECK((along(direction, 1e-2) - along(direction, -1e-2)) / 2e-2 ==
        Approx(gradient.norm().item<double>()).epsilon(2e-2));
}

TEST_CASE("adapter_bank: a role's revision stays while its weights do") {
  adapter_bank bank(small_weights());
  bank.add_lora("policy", {.rank = 2}, rng{1});
  bank.add_base("other");
  const auto first = bank.revision("policy");
  REQUIRE(first.has_value());
  CHECK(bank.revision("other") != first);
  logits_of(bank, "policy", {1, 2, 3});
  bank.copy("other", "third");
  CHECK(bank.revision("policy") == first);
  bank.freeze("policy");
  const auto frozen = bank.revision("policy");
  CHECK(frozen != first);
  bank.modify("policy").adapter.set_dropout(0);
  CHECK(bank.revision("policy") != frozen);
  bank.remove("policy");
  bank.add_base("policy");
  CHECK(bank.revision("policy") != first);
  bank.add_lora("trained", {.rank = 2}, rng{2});
  bank.train("trained");
  CHECK_FALSE(bank.revision("trained").has_value());
}
