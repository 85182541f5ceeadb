#include "adapters/adapter_bank.hpp"

#include <coho/error.hpp>

#include <ATen/core/grad_mode.h>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

const std::vector<token> sequence{3, 1, 4, 1, 5, 9, 2, 6};

void fill_b(adapter_bank& bank, const std::string& role) {
  std::uint64_t seed = 50;
  bank.at(role).adapter.visit([&](const std::string&, lora_pair& pair) { pair.b = random_tensor(pair.b.sizes().vec(), ++seed) * 0.1; });
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
  bank.add_full("merged", bank.at("policy").adapter.merged(bank.base()));
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
  adapter_bank bank(small_weights(0, true));
  bank.add_full("own");
  auto& parameters = bank.train("own");
  CHECK(&parameters == &bank.train("own"));
  // A tied head is the embedding itself: trained once, read in both places.
  CHECK(parameters.count() == small_config(0, true).parameter_count());
  CHECK(bank.head("own").data_ptr() == bank.at("own").weights.embedding.data_ptr());
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
  CHECK(largest_difference(bank.scalar("reward", hidden), hidden.sum(1) + 2.5) < 1e-5);
  CHECK_THROWS_AS(bank.set_head("reward", at::ones({1, 15}), at::zeros({1})), argument_error);
  bank.add_base("policy");
  CHECK_THROWS_AS(bank.scalar("policy", hidden), argument_error);
}
