#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include <coho/advantage/group_relative.hpp>
#include <coho/advantage/leave_one_out.hpp>
#include <coho/advantage/remax.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/reduce.hpp>
#include <coho/toy/exact_expectation.hpp>
#include <coho/toy/tabular_policy.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

// What an estimator of the policy gradient is on average, by enumeration of all groups of responses: no sampling error.
using namespace coho::test;
using coho::deviation, coho::group_scale;
using coho::toy::enumerated_response, coho::toy::tabular_policy;

namespace {

// A policy over few tokens, its responses to one prompt, and a reward of each.
struct world {
  tabular_policy policy;
  std::size_t max_new_tokens;
  std::vector<coho::token> prompt{1};
  std::vector<enumerated_response> responses;
  Eigen::ArrayXd rewards;

  world(std::size_t vocabulary, std::size_t length)
      : policy({.vocabulary = vocabulary, .order = 1, .end = 0, .temperature = 0.8}), max_new_tokens(length) {
    coho::rng random(5);
    for (auto& z : policy.logits.reshaped()) z = random.normal();
    responses = coho::toy::enumerate_responses(policy, prompt, length);
    // Unlike probabilities and far from mean 0, so that a wrong baseline shows.
    rewards = normals(static_cast<Eigen::Index>(responses.size()), 6, 5) + 2;
    rewards[1] = rewards[0];  // groups of equal rewards occur, of different responses too
  }

  double expected_reward() const {
    std::size_t i = 0;
    return coho::toy::exact_expectation(policy, prompt, max_new_tokens,
                                        [&](const auto&) { return rewards[static_cast<Eigen::Index>(i++)]; });
  }
  coho::token_batch batch(const std::vector<std::size_t>& group) const {
    coho::token_batch out;
    for (const std::size_t i : group) {
      out.prompts.push_back(prompt);
      out.responses.push_back(responses[i].tokens);
    }
    return out;
  }
  Eigen::ArrayXd rewards_of(const std::vector<std::size_t>& group) const {
    Eigen::ArrayXd out(static_cast<Eigen::Index>(group.size()));
    for (std::size_t k = 0; k < group.size(); ++k) {
      out[static_cast<Eigen::Index>(k)] = rewards[static_cast<Eigen::Index>(group[k])];
    }
    return out;
  }
  double probability_of(const std::vector<std::size_t>& group) const {
    double p = 1;
    for (const std::size_t i : group) p *= responses[i].probability();
    return p;
  }

  /// d log p(response) / d logits, from the softmax and not from the policy's pullback.
  Eigen::MatrixXd score(const enumerated_response& response) const {
    Eigen::MatrixXd out = Eigen::MatrixXd::Zero(policy.logits.rows(), policy.logits.cols());
    std::size_t context = policy.contexts().context_after(prompt);
    for (const coho::token y : response.tokens) {
      const auto column = static_cast<Eigen::Index>(context);
      const Eigen::ArrayXd e = (policy.logits.col(column).array() / 0.8).exp();
      out.col(column) -= (e / e.sum() / 0.8).matrix();
      out(y, column) += 1 / 0.8;
      context = policy.contexts().next_context(context, y);
    }
    return out;
  }
  /// dE[r] / d logits = Σ_y p(y)·r(y)·d log p(y).
  Eigen::MatrixXd true_gradient() const {
    Eigen::MatrixXd out = Eigen::MatrixXd::Zero(policy.logits.rows(), policy.logits.cols());
    for (std::size_t i = 0; i < responses.size(); ++i) {
      out += responses[i].probability() * rewards[static_cast<Eigen::Index>(i)] * score(responses[i]);
    }
    return out;
  }
};

/// Calls f with each sequence of `size` numbers below `count`.
template <class F>
void for_each_group(std::size_t count, std::size_t size, F f) {
  std::vector<std::size_t> group(size, 0);
  for (;;) {
    f(group);
    std::size_t k = 0;
    while (k < size && ++group[k] == count) group[k++] = 0;
    if (k == size) return;
  }
}

/// E[gradient of −(1/G)·Σ_i A_i·log p(y_i)], with its sign turned, over all groups of G responses, by coho's own parts:
/// the advantages spread over tokens, times −1/G, are the gradient that the policy pulls back.
template <class Advantages>
Eigen::MatrixXd expected_gradient(world& w, std::size_t size, Advantages advantages) {
  w.policy.zero_gradients();
  for_each_group(w.responses.size(), size, [&](const std::vector<std::size_t>& group) {
    const auto batch = w.batch(group);
    const Eigen::ArrayXd a = advantages(w.rewards_of(group), offsets{0, size});
    const Eigen::ArrayXd seed =
        coho::sequence_spread(a, batch.responses.offsets) * (-w.probability_of(group) / static_cast<double>(size));
    w.policy.forward(batch).second({.log_probs = coho::as_span(seed)});
  });
  return -w.policy.gradient;
}

double difference(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) { return (a - b).cwiseAbs().maxCoeff(); }

// One token of three; two tokens of three, which end or are cut: 3 and 7 responses.
std::vector<world> worlds() { return {world(3, 1), world(3, 2)}; }

const auto unscaled = [](const Eigen::ArrayXd& rewards, const offsets& groups) {
  return coho::group_relative(rewards, groups, {.scale = group_scale::none});
};

}  // namespace

TEST_CASE("the true policy gradient is that of the expected reward, by central differences") {
  for (world& w : worlds()) {
    const Eigen::MatrixXd gradient = w.true_gradient();
    REQUIRE(gradient.cwiseAbs().maxCoeff() > 0.01);
    for (Eigen::Index i = 0; i < w.policy.logits.size(); ++i) {
      double& z = w.policy.logits.reshaped()(i);
      const double kept = z, step = 1e-5;
      z = kept + step;
      const double above = w.expected_reward();
      z = kept - step;
      const double below = w.expected_reward();
      z = kept;
      CHECK(gradient.reshaped()(i) == Approx((above - below) / (2 * step)).margin(1e-8));
    }
  }
}

TEST_CASE("by exact enumeration: the expected gradient of RLOO is the true one") {
  for (world& w : worlds()) {
    const Eigen::MatrixXd expected = w.true_gradient();
    for (const std::size_t size : {2, 3, 4}) {
      const auto found = expected_gradient(w, size, [](const Eigen::ArrayXd& rewards, const offsets& groups) {
        return coho::leave_one_out(rewards, groups).advantages;
      });
      CHECK(difference(found, expected) < 1e-12);
    }
  }
}

TEST_CASE("by exact enumeration: the expected gradient of Dr. GRPO is (G - 1) / G of the true one") {
  for (world& w : worlds()) {
    const Eigen::MatrixXd expected = w.true_gradient();
    for (const std::size_t size : {2, 3, 4}) {
      const auto found = expected_gradient(w, size, unscaled);
      const double g = static_cast<double>(size);
      CHECK(difference(found, expected * ((g - 1) / g)) < 1e-12);
      CHECK(difference(found, expected) > 1e-3);
    }
  }
}

TEST_CASE("by exact enumeration: the expected gradient of ReMax is the true one") {
  for (world& w : worlds()) {
    std::vector<coho::rng> streams{coho::rng(1)};
    const auto greedy = w.policy.generate({{1}}, {.max_new_tokens = w.max_new_tokens, .temperature = 0}, streams);
    double greedy_reward = not_a_number;
    for (std::size_t i = 0; i < w.responses.size(); ++i) {
      if (w.responses[i].tokens == greedy.responses.values) greedy_reward = w.rewards[static_cast<Eigen::Index>(i)];
    }
    const auto found = expected_gradient(w, 2, [&](const Eigen::ArrayXd& rewards, const offsets& groups) {
      return coho::remax(rewards, array({greedy_reward}), groups);
    });
    CHECK(difference(found, w.true_gradient()) < 1e-12);
  }
}

TEST_CASE("by exact enumeration: the expected gradient of GRPO is that of its own estimator, not the true one") {
  for (world& w : worlds()) {
    for (const std::size_t size : {2, 3}) {
      for (const auto kind : {deviation::bessel, deviation::population}) {
        const double epsilon = 0.01, n = static_cast<double>(size);
        // The estimator as its paper writes it, apart from coho's code.
        Eigen::MatrixXd expected = Eigen::MatrixXd::Zero(w.policy.logits.rows(), w.policy.logits.cols());
        for_each_group(w.responses.size(), size, [&](const std::vector<std::size_t>& group) {
          double mean = 0, squares = 0;
          for (const std::size_t i : group) mean += w.rewards[static_cast<Eigen::Index>(i)] / n;
          for (const std::size_t i : group) squares += std::pow(w.rewards[static_cast<Eigen::Index>(i)] - mean, 2);
          const double unit = std::sqrt(squares / (kind == deviation::bessel ? n - 1 : n)) + epsilon;
          for (const std::size_t i : group) {
            const double advantage = (w.rewards[static_cast<Eigen::Index>(i)] - mean) / unit;
            expected += w.probability_of(group) * advantage / n * w.score(w.responses[i]);
          }
        });

        const auto grpo = [&](const Eigen::ArrayXd& rewards, const offsets& groups) {
          return coho::group_relative(rewards, groups, {.deviation = kind, .epsilon = epsilon});
        };
        const Eigen::MatrixXd found = expected_gradient(w, size, grpo);
        CHECK(difference(found, expected) < 1e-12);

        // The clipped loss has the same gradient where the policy is the one that sampled.
        w.policy.zero_gradients();
        for_each_group(w.responses.size(), size, [&](const std::vector<std::size_t>& group) {
          const auto batch = w.batch(group);
          auto [out, pullback] = w.policy.forward(batch);
          const auto& sequences = batch.responses.offsets;
          const auto weights = coho::make_token_weights(sequences, {.kind = coho::reduction::sequence_mean_of_sums});
          const Eigen::ArrayXd advantages =
              coho::sequence_spread(grpo(w.rewards_of(group), offsets{0, size}), sequences);
          Eigen::ArrayXd seed = coho::ppo_clip_loss{}
                                    .value_and_grad({.log_probs = out.log_probs,
                                                     .old_log_probs = out.log_probs,
                                                     .advantages = advantages,
                                                     .weights = weights})
                                    .d_log_probs;
          seed *= w.probability_of(group);
          pullback({.log_probs = coho::as_span(seed)});
        });
        CHECK(difference(-w.policy.gradient, expected) < 1e-12);

        // Its direction is not the true one either: no factor makes them equal.
        const Eigen::MatrixXd truth = w.true_gradient();
        const double factor = (found.cwiseProduct(truth)).sum() / truth.squaredNorm();
        if (w.responses.size() > 3) CHECK(difference(found, truth * factor) > 1e-3);
      }
    }
  }
}
