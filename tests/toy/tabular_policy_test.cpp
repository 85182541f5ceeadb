#include <cmath>
#include <vector>

#include <coho/toy/tabular_policy.hpp>

#include "support/catch.hpp"
#include "support/chi_square.hpp"

using namespace coho;
using toy::tabular_policy;

static_assert(causal_lm<tabular_policy> && differentiable_policy<tabular_policy> && trainable<tabular_policy>);

namespace {
tabular_policy some_policy(double temperature = 0.8, std::vector<token> banned = {}) {
  tabular_policy policy(
      {.vocabulary = 4, .order = 1, .end = 0, .temperature = temperature, .banned = std::move(banned)});
  rng random(2);
  for (auto& z : policy.logits.reshaped()) z = random.normal();
  return policy;
}
const token_batch batch{{{1}, {2}}, {{1, 3, 0}, {2, 2}}};
}  // namespace

TEST_CASE("log-probabilities are those of the tempered, restricted softmax") {
  const auto policy = some_policy(0.5, {2});
  const std::vector<token> prompt{1};
  const auto context = policy.contexts().context_after(prompt);
  const Eigen::ArrayXd z = policy.logits.col(static_cast<Eigen::Index>(context)).array() / 0.5;
  const double total = std::exp(z(0)) + std::exp(z(1)) + std::exp(z(3));
  const auto log_probs = policy.log_probs({{{1}}, {{3}}});
  CHECK(log_probs[0] == Approx(z(3) - std::log(total)));
  CHECK(policy.probabilities(context)(2) == 0);
  CHECK_THROWS_AS(policy.log_probs({{{1}}, {{2}}}), argument_error);
}

TEST_CASE("the pullback is the gradient, by central differences") {
  auto policy = some_policy(0.8, {});
  const std::vector<double> d_log_probs{0.3, -1.2, 0.7, 2.0, -0.4}, d_entropy{1.0, 0.5, -0.7, 0.2, 0.9};
  const auto objective = [&] {
    const auto out = policy.forward(batch).first;
    double sum = 0;
    for (std::size_t t = 0; t < 5; ++t) sum += d_log_probs[t] * out.log_probs[t] + d_entropy[t] * out.entropy[t];
    return sum;
  };
  policy.zero_gradients();
  policy.forward(batch).second({.log_probs = d_log_probs, .entropy = d_entropy});
  const Eigen::MatrixXd gradient = policy.gradient;
  for (Eigen::Index i = 0; i < policy.logits.size(); ++i) {
    double& z = policy.logits.reshaped()(i);
    const double step = 1e-5, kept = z;
    z = kept + step;
    const double above = objective();
    z = kept - step;
    const double below = objective();
    z = kept;
    CHECK(gradient.reshaped()(i) == Approx((above - below) / (2 * step)).margin(1e-6));
  }
  // It adds, and an empty span is zero.
  policy.forward(batch).second({.log_probs = d_log_probs});
  policy.forward(batch).second({.entropy = d_entropy});
  CHECK((policy.gradient - 2 * gradient).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("sampling follows the probabilities and records them") {
  const auto policy = some_policy(0.7, {3});
  const generation_options options{.max_new_tokens = 1, .temperature = 0.7, .banned = {3}};
  const std::size_t n = 20000;
  packed<token> prompts;
  std::vector<rng> streams;
  for (std::size_t i = 0; i < n; ++i) {
    prompts.push_back({token{1}});
    streams.emplace_back(1, i);
  }
  const auto out = policy.generate(prompts, options, streams);
  std::vector<std::size_t> counts(4, 0);
  for (std::size_t i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(out.responses[i][0])];
  const std::vector<token> prompt{1};
  const Eigen::ArrayXd p = policy.probabilities(policy.contexts().context_after(prompt));
  CHECK(test::fits(counts, std::vector<double>(p.begin(), p.end())));
  for (std::size_t i = 0; i < 5; ++i)
    CHECK(out.log_probs[i][0] == Approx(std::log(p(out.responses[i][0]))).epsilon(1e-6));
}

TEST_CASE("a response ends with the end token or at the limit, whatever its neighbours") {
  const auto policy = some_policy();
  generation_options options{.max_new_tokens = 5, .temperature = 0.8};
  std::vector<rng> streams;
  for (std::uint64_t i = 0; i < 40; ++i) streams.emplace_back(4, i);
  packed<token> prompts;
  for (int i = 0; i < 40; ++i) prompts.push_back({static_cast<token>(i % 4)});
  auto used = streams;
  const auto all = policy.generate(prompts, options, used);
  std::size_t cut = 0;
  for (std::size_t i = 0; i < 40; ++i) {
    const auto response = all.responses[i];
    CHECK(all.finished[i] == (response.back() == 0));
    for (std::size_t t = 0; t + 1 < response.size(); ++t) CHECK(response[t] != 0);
    if (all.finished[i] == 0) CHECK(response.size() == 5);
    cut += all.finished[i] == 0;
    std::vector<rng> alone{streams[i]};
    CHECK(policy.generate(packed<token>{{prompts[i][0]}}, options, alone).responses.values ==
          std::vector<token>(response.begin(), response.end()));
  }
  CHECK(cut > 0);
  CHECK(cut < 40);

  options.temperature = 0;
  auto first = policy.generate(prompts, options, used), second = policy.generate(prompts, options, used);
  CHECK(first.responses == second.responses);
}

TEST_CASE("tabular_policy refuses what it does not do") {
  const auto policy = some_policy();
  std::vector<rng> one{rng(1)};
  const packed<token> prompt{{1}};
  CHECK_THROWS_AS(policy.generate(prompt, {.temperature = 1}, one), argument_error);
  CHECK_THROWS_AS(policy.generate(prompt, {.temperature = 0.8, .top_k = 2}, one), argument_error);
  CHECK_THROWS_AS(policy.generate(prompt, {.temperature = 0.8, .stop = {"x"}}, one), argument_error);
  CHECK_THROWS_AS(policy.generate(prompt, {.temperature = 0.8, .unfinished_stop = {"x"}}, one), argument_error);
  CHECK_THROWS_AS(policy.generate(prompt, {.temperature = 0.8, .banned = {1}}, one), argument_error);
  CHECK_THROWS_AS(policy.generate(prompt, {.temperature = 0.8}, {}), argument_error);
  CHECK_THROWS_AS(tabular_policy({.vocabulary = 3, .end = 3}), option_error);
  CHECK_THROWS_AS(tabular_policy({.vocabulary = 3, .temperature = 0}), option_error);
  CHECK_THROWS_AS(tabular_policy({.vocabulary = 2, .banned = {0, 1}}), option_error);
}
