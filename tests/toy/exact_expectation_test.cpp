#include <cmath>
#include <map>
#include <set>
#include <vector>

#include <coho/toy/exact_expectation.hpp>

#include "support/catch.hpp"

using namespace coho;
using toy::enumerate_responses, toy::exact_expectation, toy::tabular_policy;

namespace {
tabular_policy some_policy_of(std::size_t vocabulary, std::vector<token> banned = {}, double temperature = 0.7) {
  tabular_policy policy(
      {.vocabulary = vocabulary, .order = 2, .end = 0, .temperature = temperature, .banned = std::move(banned)});
  rng random(3);
  for (auto& z : policy.logits.reshaped()) z = random.normal();
  return policy;
}
const std::vector<token> prompt{1};
}  // namespace

TEST_CASE("two tokens, at most two of them: the responses are 0, 10 and 11") {
  const tabular_policy uniform({.vocabulary = 2});
  const auto responses = enumerate_responses(uniform, prompt, 2);
  REQUIRE(responses.size() == 3);
  CHECK(responses[0].tokens == std::vector<token>{0});
  CHECK(responses[1].tokens == std::vector<token>{1, 0});
  CHECK(responses[2].tokens == std::vector<token>{1, 1});
  CHECK(responses[0].probability() == Approx(0.5));
  CHECK(responses[1].probability() == Approx(0.25));
  CHECK(responses[2].probability() == Approx(0.25));
  CHECK(responses[0].finished);
  CHECK(responses[1].finished);
  CHECK_FALSE(responses[2].finished);
}

TEST_CASE("the probabilities of all responses add up to 1 and are those of log_probs") {
  for (const std::vector<token>& banned : {std::vector<token>{}, {2}, {0}, {2, 2}}) {
    const auto policy = some_policy_of(4, banned);
    const auto responses = enumerate_responses(policy, prompt, 3);
    const bool can_end = banned != std::vector<token>{0};
    const std::size_t others = can_end ? 3 - !banned.empty() : 3;
    CHECK(responses.size() == (can_end ? 1 + others + others * others : 0) + others * others * others);
    double total = 0;
    std::set<std::vector<token>> different;
    for (const auto& response : responses) {
      total += response.probability();
      different.insert(response.tokens);
      packed<token> one;
      one.push_back(response.tokens);
      double log_prob = 0;
      for (const double x : policy.log_probs({{{1}}, one})) log_prob += x;
      CHECK(response.log_prob == Approx(log_prob));
      CHECK(response.finished == (response.tokens.back() == 0));
      CHECK((response.finished || response.tokens.size() == 3));
    }
    CHECK(total == Approx(1).epsilon(1e-12));
    CHECK(different.size() == responses.size());
  }
}

TEST_CASE("what is sampled is among the enumerated responses, about as often as they say") {
  const auto policy = some_policy_of(3);
  std::map<std::vector<token>, double> counts;
  const std::size_t n = 20000;
  packed<token> prompts;
  std::vector<rng> streams;
  for (std::size_t i = 0; i < n; ++i) {
    prompts.push_back(prompt);
    streams.emplace_back(9, i);
  }
  const auto sampled = policy.generate(prompts, {.max_new_tokens = 2, .temperature = 0.7}, streams);
  for (std::size_t i = 0; i < n; ++i) counts[{sampled.responses[i].begin(), sampled.responses[i].end()}] += 1;
  double found = 0;
  for (const auto& response : enumerate_responses(policy, prompt, 2)) {
    const double p = response.probability(), share = counts[response.tokens] / n;
    CHECK(std::abs(share - p) < 5 * std::sqrt(p * (1 - p) / n));
    found += share;
  }
  CHECK(found == Approx(1));
}

TEST_CASE("exact expectations of numbers, flags and arrays") {
  const tabular_policy uniform({.vocabulary = 2});
  CHECK(exact_expectation(uniform, prompt, 3, [](const auto& y) { return y.tokens.size(); }) == Approx(1.75));
  CHECK(exact_expectation(uniform, prompt, 3, [](const auto& y) { return y.finished; }) == Approx(0.875));
  const auto counts = exact_expectation(uniform, prompt, 2, [](const auto& y) -> Eigen::ArrayXd {
    Eigen::ArrayXd of_token = Eigen::ArrayXd::Zero(2);
    for (const token t : y.tokens) of_token[t] += 1;
    return of_token;
  });
  CHECK(counts[0] == Approx(0.75));
  CHECK(counts[1] == Approx(0.75));
  // The entropy of a response is the mean of −log p.
  CHECK(exact_expectation(uniform, prompt, 1, [](const auto& y) { return -y.log_prob; }) == Approx(std::log(2.0)));
}

TEST_CASE("of no tokens there is one response, the empty one") {
  const auto responses = enumerate_responses(tabular_policy({.vocabulary = 2}), prompt, 0);
  REQUIRE(responses.size() == 1);
  CHECK(responses[0].tokens.empty());
  CHECK(responses[0].log_prob == 0);
  CHECK_FALSE(responses[0].finished);
}

TEST_CASE("too many responses are refused by their number, before any is made") {
  const tabular_policy policy({.vocabulary = 101, .order = 0});
  CHECK_THROWS_WITH(enumerate_responses(policy, prompt, 3), Catch::Contains("1010101 responses"));
  CHECK_THROWS_AS(enumerate_responses(policy, prompt, 1000), argument_error);
  CHECK_THROWS_WITH(enumerate_responses(policy, prompt, 1, 100), Catch::Contains("limit of 100"));
  CHECK(enumerate_responses(policy, prompt, 1, 101).size() == 101);
  CHECK_THROWS_AS(exact_expectation(policy, prompt, 3, [](const auto&) { return 1.0; }), argument_error);
  const std::vector<token> foreign{-1};
  CHECK_THROWS_AS(enumerate_responses(tabular_policy({.vocabulary = 2}), foreign, 1), argument_error);
  // One way on only: any length will do.
  const tabular_policy single({.vocabulary = 2, .banned = {1}});
  CHECK(enumerate_responses(single, prompt, 1'000'000).size() == 1);
}
