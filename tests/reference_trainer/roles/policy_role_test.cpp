#include "roles/policy_role.hpp"

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>
#include <coho/optimization/gradient_clipping.hpp>

#include "support/catch.hpp"
#include "support/small_models.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

token_batch three_sequences() {
  token_batch batch;
  for (const std::size_t length : {4, 1, 6}) {
    batch.prompts.push_back(random_tokens(length, 23, length));
    batch.responses.push_back(random_tokens(length + 2, 20, 40 + length));
  }
  return batch;
}

}  // namespace

TEST_CASE("policy_role: log-probabilities and entropies of the tempered distribution without banned tokens") {
  adapter_bank bank(small_weights());
  bank.add_lora("policy", {.rank = 2}, rng{1});
  bank.train("policy");
  const auto batch = three_sequences();
  policy_role policy(bank, "policy", {.temperature = 0.6, .banned = {20, 22}, .entropy = true});
  const auto log_probs = policy.log_probs(batch);
  const auto out = policy.forward(batch).first;
  REQUIRE(log_probs.size() == batch.responses.total());
  REQUIRE(out.entropy.size() == log_probs.size());
  std::size_t k = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    std::vector<token> tokens(batch.prompts[i].begin(), batch.prompts[i].end());
    tokens.insert(tokens.end(), batch.responses[i].begin(), batch.responses[i].end());
    at::Tensor logits = logits_of(bank, "policy", tokens) / 0.6;
    logits.select(1, 20).fill_(-1e9);
    logits.select(1, 22).fill_(-1e9);
    const at::Tensor all = at::log_softmax(logits, 1), entropy = -(all.exp() * all).sum(1);
    for (std::size_t t = 0; t < batch.responses.length(i); ++t, ++k) {
      const auto row = static_cast<std::int64_t>(batch.prompts.length(i) + t) - 1;
      CHECK(log_probs[k] == Approx(all[row][batch.responses[i][t]].item<double>()).margin(1e-5));
      CHECK(out.log_probs[k] == Approx(log_probs[k]).margin(1e-6));
      CHECK(out.entropy[k] == Approx(entropy[row].item<double>()).margin(1e-5));
    }
  }
}

TEST_CASE("policy_role: the pullback adds the gradient of log-probabilities and entropies") {
  adapter_bank bank(small_weights());
  bank.add_full("policy");
  auto& parameters = bank.train("policy");
  const auto batch = three_sequences();
  policy_role policy(bank, "policy", {.temperature = 0.9, .entropy = true});
  const auto n = batch.responses.total();
  std::vector<double> weights, entropy_weights;
  for (std::size_t t = 0; t < n; ++t) {
    weights.push_back(std::sin(1.0 + static_cast<double>(t)));
    entropy_weights.push_back(std::cos(static_cast<double>(t)));
  }
  const auto loss = [&] {
    const auto out = policy.forward(batch).first;
    double sum = 0;
    for (std::size_t t = 0; t < n; ++t) sum += weights[t] * out.log_probs[t] + entropy_weights[t] * out.entropy[t];
    return sum;
  };
  policy.zero_gradients();
  policy.forward(batch).second({.log_probs = weights, .entropy = entropy_weights});
  const at::Tensor gradient = parameters.gradients().clone(), direction = gradient / gradient.norm();
  const auto along = [&](double step) {
    const at::NoGradGuard no_gradient;
    parameters.values().add_(direction, step);
    const double out = loss();
    parameters.values().sub_(direction, step);
    return out;
  };
  CHECK((along(2e-3) - along(-2e-3)) / 4e-3 == Approx(gradient.norm().item<double>()).epsilon(1e-2));
  // A second pullback adds to the first.
  policy.forward(batch).second({.log_probs = weights, .entropy = entropy_weights});
  CHECK(largest_difference(parameters.gradients(), 2 * gradient) < 1e-3);

  STATIC_REQUIRE(trainable<policy_role>);
  const double norm = parameters.gradients().norm().item<double>();
  CHECK(clip_gradient_norm(norm / 2, policy) == Approx(norm).epsilon(1e-5));
  CHECK(largest_difference(parameters.gradients(), gradient) < 1e-3);
}

TEST_CASE("policy_role: refuses what its log-probabilities would not describe") {
  adapter_bank bank(small_weights());
  bank.add_base("policy");
  CHECK_THROWS_AS(policy_role(bank, "policy", {.temperature = 0}), option_error);
  CHECK_THROWS_AS(policy_role(bank, "policy", {.banned = {23}}), option_error);
  policy_role policy(bank, "policy", {.temperature = 0.5});
  packed<token> prompts;
  prompts.push_back({token{1}});
  rng streams[] = {rng{1}};
  CHECK_THROWS_AS(policy.generate(prompts, {.max_new_tokens = 2, .temperature = 1}, streams), argument_error);
  CHECK(policy.generate(prompts, {.max_new_tokens = 2, .temperature = 0}, streams).responses.total() == 2);
  CHECK(policy.log_probs({}).empty());
}
