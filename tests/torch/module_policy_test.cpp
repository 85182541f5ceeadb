#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <coho/require.hpp>
#include <coho/torch/module_policy.hpp>
#include <coho/torch/module_value.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/ppo.hpp>

#include "support/catch.hpp"
#include "support/table_module.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::table_module;

namespace {

using policy_of_table = module_policy<table_module>;
static_assert(require_causal_lm<policy_of_table>() && require_differentiable_policy<policy_of_table>());
static_assert(trainable<policy_of_table>);

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

// Plain gradient descent on tensors.
struct descent {
  std::vector<at::Tensor> parameters;
  void step(double rate) {
    const at::NoGradGuard none;
    for (auto& p : parameters) p.sub_(p.grad(), rate);
  }
};

}  // namespace

TEST_CASE("log-probabilities, entropy and gradients of a module are those in closed form") {
  const double temperature = GENERATE(1.0, 0.7);
  const std::vector<token> banned = GENERATE(std::vector<token>{}, std::vector<token>{4});
  table_module module(5, 5, 3);
  module_policy policy{module, {.end = 0, .temperature = temperature, .banned = banned}};
  auto exact = test::tabular(module, {.end = 0, .temperature = temperature, .banned = banned});
  const auto batch = test::uneven_batch();
  CHECK(largest_difference(policy.log_probs(batch), exact.log_probs(batch)) < 1e-12);

  auto [output, pullback] = policy.forward(batch);
  auto [known, known_pullback] = exact.forward(batch);
  CHECK(largest_difference(output.log_probs, known.log_probs) < 1e-12);
  CHECK(largest_difference(output.entropy, known.entropy) < 1e-12);
  std::vector<double> d_log_probs, d_entropy;
  for (std::size_t t = 0; t < batch.responses.total(); ++t) {
    d_log_probs.push_back(0.5 - 0.3 * static_cast<double>(t));
    d_entropy.push_back(1 + 0.2 * static_cast<double>(t));
  }
  pullback({.log_probs = d_log_probs, .entropy = d_entropy});
  known_pullback({.log_probs = d_log_probs, .entropy = d_entropy});
  CHECK(test::gradient_difference(module, exact) < 1e-12);
  CHECK(policy.squared_gradient_norm() == Approx(exact.gradient.squaredNorm()));

  // It adds; one of the two gradients may be missing.
  policy.forward(batch).second({.log_probs = d_log_probs});
  exact.forward(batch).second({.log_probs = d_log_probs});
  policy.forward(batch).second({.entropy = d_entropy});
  exact.forward(batch).second({.entropy = d_entropy});
  policy.forward(batch).second({});
  CHECK(test::gradient_difference(module, exact) < 1e-12);
}

TEST_CASE("neither padding nor the rest of a batch changes log-probabilities") {
  table_module module(5, 5, 4);
  module.running = true;  // each position depends on all before it
  module_policy policy{module, {.padding = 0}};
  module_policy other{module, {.padding = 4}};
  const auto batch = test::uneven_batch();
  const auto together = policy.log_probs(batch);
  CHECK(other.log_probs(batch) == together);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto alone = policy.log_probs(batch.select(std::vector<std::size_t>{i}));
    for (std::size_t t = 0; t < alone.size(); ++t) CHECK(alone[t] == together[batch.responses.offsets[i] + t]);
  }
  CHECK(policy.log_probs(token_batch{}).empty());
  CHECK(policy.forward({{{1, 2}}, {{}}}).first.entropy.empty());
}

TEST_CASE("what a module generates depends on the sequence's own prompt and stream") {
  table_module module(5, 5, 5);
  module.running = true;
  module_policy policy{module, {.end = 0, .temperature = 0.8}};
  const packed<token> prompts{{1, 2, 3}, {2}, {4, 4}, {1}};
  const generation_options options{.max_new_tokens = 6, .temperature = 0.8};
  const auto streams = [] {
    std::vector<rng> out;
    for (std::uint64_t i = 0; i < 4; ++i) out.push_back(rng(9).split(i));
    return out;
  };
  auto all = streams();
  const generation together = policy.generate(prompts, options, all);
  REQUIRE(together.responses.size() == 4);
  const token_batch batch{prompts, together.responses};
  const auto log_probs = policy.log_probs(batch);
  for (std::size_t t = 0; t < log_probs.size(); ++t)
    CHECK(together.log_probs.values[t] == Approx(log_probs[t]).margin(1e-5));
  std::size_t finished = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    auto own = streams();
    const generation alone =
        policy.generate(prompts.select(std::vector<std::size_t>{i}), options, std::span(own).subspan(i, 1));
    CHECK(alone.responses == together.responses.select(std::vector<std::size_t>{i}));
    const auto response = together.responses[i];
    CHECK((together.finished[i] != 0) == (response.back() == 0));
    CHECK((response.size() == 6 || response.back() == 0));
    for (std::size_t t = 0; t + 1 < response.size(); ++t) CHECK(response[t] != 0);
    finished += together.finished[i];
  }
  CHECK(finished > 0);
}

TEST_CASE("a module samples as often as its probabilities say") {
  table_module module(4, 4, 6);
  module_policy policy{module, {.end = 0}};
  const auto exact = test::tabular(module, {.end = 0});
  packed<token> prompts;
  std::vector<rng> streams;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    prompts.push_back({2});
    streams.push_back(rng(3).split(i));
  }
  const auto drawn = policy.generate(prompts, {.max_new_tokens = 1}, streams);
  Eigen::ArrayXd counts = Eigen::ArrayXd::Zero(4);
  for (const token id : drawn.responses.values) counts(id) += 1.0 / 4000;
  const auto expected = exact.probabilities(exact.contexts().context_after(std::vector<token>{2}));
  CHECK((counts - expected).abs().maxCoeff() < 0.03);  // 3.8 deviations
}

TEST_CASE("greedy, truncated and banned sampling of a module") {
  table_module module(5, 5, 7);
  module_policy policy{module, {.end = 0}};
  const auto exact = test::tabular(module, {.end = 0});
  Eigen::Index best = 0;
  exact.probabilities(exact.contexts().context_after(std::vector<token>{3})).maxCoeff(&best);
  std::vector<rng> streams{rng(1)};
  const auto first = [&](generation_options options) {
    options.max_new_tokens = 1;
    return policy.generate({{3}}, options, streams).responses.values[0];
  };
  CHECK(first({.temperature = 0}) == best);
  CHECK(first({.top_k = 1}) == best);
  CHECK(first({.top_p = 1e-6}) == best);
  for (int i = 0; i < 50; ++i) CHECK(first({.banned = {static_cast<token>(best)}}) != best);
}

TEST_CASE("what a module's policy cannot do is refused") {
  table_module module(5, 5, 8);
  module_policy policy{module, {.end = 0, .banned = {4}}};
  std::vector<rng> streams{rng(1)};
  CHECK_THROWS_WITH(policy.generate({{1}}, {.temperature = 0.5}, streams), ContainsSubstring("sampling temperature"));
  CHECK_THROWS_WITH(policy.generate({{1}}, {.stop = {"x"}}, streams), ContainsSubstring("no stop strings"));
  CHECK_THROWS_WITH(policy.generate({{1}, {2}}, {}, streams), ContainsSubstring("one rng per prompt"));
  CHECK_THROWS_WITH(policy.generate({{}}, {}, streams), ContainsSubstring("prompt 0 has no tokens"));
  CHECK_THROWS_WITH(policy.log_probs({{{1}}, {{4}}}), ContainsSubstring("token 4 is banned"));
  CHECK_THROWS_WITH(policy.log_probs({{{1}}, {{5}}}), ContainsSubstring("token 5 is outside the 5 logits"));
  CHECK_THROWS_AS(module_policy(module, {.temperature = 0}), option_error);
  CHECK_THROWS_AS(module_policy(module, {.end = 1, .banned = {1}}), option_error);
}

TEST_CASE("PPO on modules is PPO on the tables that they hold") {
  constexpr std::size_t vocabulary = 4;
  table_module policy_module(vocabulary, vocabulary, 9), value_module(vocabulary, 1, 10);
  module_policy policy{policy_module};
  module_value value{value_module};
  descent optimizer{{policy_module.table, value_module.table}};

  auto exact = test::tabular(policy_module, {.end = 0});
  auto reference = exact;
  toy::tabular_value exact_value(vocabulary, 1);
  for (token c = 0; c < static_cast<token>(vocabulary); ++c) {
    const auto context = static_cast<Eigen::Index>(exact.contexts().context_after(std::vector<token>{c}));
    exact_value.table(context) = value_module.number(c, 0);
  }
  toy::sgd exact_optimizer(exact, exact_value);
  const auto reward = [](std::span<const reward_query> queries) {
    std::vector<double> out;
    for (const auto& q : queries) out.push_back(q.response_tokens.front() == 2 ? 1.0 : static_cast<double>(q.finished));
    return out;
  };
  ppo_options options{.generation = {.max_new_tokens = 5}, .shaping = {.kl_coefficient = 0.1}};
  options.minibatch_size = 8;
  options.entropy_coefficient = 0.01;
  options.learning_rate.peak = 0.3;
  ppo_trainer on_modules{ppo_models{policy, reference, value, reward, optimizer}, options};
  ppo_trainer on_tables{ppo_models{exact, reference, exact_value, reward, exact_optimizer}, options};
  std::vector<rl_prompt> prompts(20, {.tokens = {1}});
  for (std::uint64_t i = 0; i < prompts.size(); ++i) prompts[i].key = i;
  for (std::uint64_t step = 0; step < 4; ++step) {
    const auto rollouts = sample_rollouts(policy, prompts, options.generation, 0, step);
    const auto a = on_modules.update(rollouts), b = on_tables.update(rollouts);
    CHECK(a.policy_loss == Approx(b.policy_loss).margin(1e-12));
    CHECK(a.gradient_norm == Approx(b.gradient_norm));
    CHECK(a.first_ratio_deviation == 0);
  }
  const auto after = test::tabular(policy_module, {.end = 0});
  for (token c = 0; c < static_cast<token>(vocabulary); ++c) {
    const auto context = static_cast<Eigen::Index>(exact.contexts().context_after(std::vector<token>{c}));
    CHECK((after.logits.col(context) - exact.logits.col(context)).cwiseAbs().maxCoeff() < 1e-12);
    CHECK(value_module.number(c, 0) == Approx(exact_value.table(context)).margin(1e-12));
  }
  CHECK((exact.logits - reference.logits).cwiseAbs().maxCoeff() > 0.05);
}
