// The numbers that a preference step reports and learns from, by hand.
#include <cmath>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <coho/reduce.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/direct_preference.hpp>

#include "support/catch.hpp"
#include "support/own_components.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using coho::test::linear_preference_loss, coho::test::small_world;

namespace {

using examples = std::vector<direct_preference_example>;

/// log π of a response, token by token from the policy's own rows.
double log_prob(const toy::tabular_policy& model, std::vector<token> text, const std::vector<token>& response) {
  double sum = 0;
  for (const token t : response) {
    sum += std::log(model.probabilities(model.contexts().context_after(text))(t));
    text.push_back(t);
  }
  return sum;
}
double log_ratio(const small_world& world, const std::vector<token>& prompt, const std::vector<token>& response) {
  return log_prob(world.policy, prompt, response) - log_prob(world.initial, prompt, response);
}

/// A policy that has moved away from its reference.
struct moved_world : small_world {
  moved_world() {
    rng random(4);
    for (double& z : policy.logits.reshaped()) z += 0.5 * random.normal();
    policy.logits(0, after({2})) += 2;  // likely to fit prompts of mixed_examples with their neighbours' responses
    policy.logits(2, after({2, 2})) += 1;
  }
  Eigen::Index after(const std::vector<token>& text) const {
    return static_cast<Eigen::Index>(policy.contexts().context_after(text));
  }
};

/// Three prompts, single responses among pairs, two weights.
examples mixed_examples() {
  return {{.prompt = {1}, .chosen = {1, 2}, .rejected = {2, 0}, .weight = 2},
          {.prompt = {2, 2}, .chosen = {}, .rejected = {0}},
          {.prompt = {2}, .chosen = {2, 1}, .rejected = {}},
          {.prompt = {1}, .chosen = {0}, .rejected = {1, 1}},
          {.prompt = {2, 2}, .chosen = {1, 0}, .rejected = {2, 2}, .weight = 0.5}};
}

}  // namespace

TEST_CASE("KTO's baseline is the mean log-ratio of each prompt with the next example's response") {
  const auto data = mixed_examples();
  moved_world world;
  const auto& w = world;
  const double mismatched = (log_ratio(w, {1}, {0}) + log_ratio(w, {2, 2}, {2, 1}) + log_ratio(w, {2}, {0}) +
                             log_ratio(w, {1}, {1, 0}) + log_ratio(w, {2, 2}, {1, 2})) /
                            5;
  const double matched = (log_ratio(w, {1}, {1, 2}) + log_ratio(w, {2, 2}, {0}) + log_ratio(w, {2}, {2, 1}) +
                          log_ratio(w, {1}, {0}) + log_ratio(w, {2, 2}, {1, 0})) /
                         5;
  REQUIRE(mismatched > 0.05);
  REQUIRE(std::abs(mismatched - matched) > 0.05);

  // The loss and the policy's gradient that this baseline gives, by kto_loss and the policy itself.
  const token_batch responses{{{1}, {2}, {1}, {2, 2}, {1}, {2, 2}, {1}, {2, 2}},
                              {{1, 2}, {2, 1}, {0}, {1, 0}, {2, 0}, {0}, {1, 1}, {2, 2}}};
  const Eigen::ArrayXd desirable{{1, 1, 1, 1, 0, 0, 0, 0}};
  // Two terms of weight 2, then 1 + 1 + 2·1 + 2·0.5.
  const token_weights<Eigen::ArrayXd> weights{Eigen::ArrayXd{{2, 1, 1, 0.5, 2, 1, 1, 0.5}} / 9};
  const kto_loss loss{{.beta = 0.8, .desirable_weight = 1.2, .undesirable_weight = 0.7}};
  const auto by_hand = [&](double baseline) {
    toy::tabular_policy policy = world.policy;
    policy.zero_gradients();
    Eigen::ArrayXd now(8), reference(8);
    for (Eigen::Index i = 0; i < 8; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const std::vector<token> prompt(responses.prompts[k].begin(), responses.prompts[k].end());
      const std::vector<token> response(responses.responses[k].begin(), responses.responses[k].end());
      now(i) = log_prob(world.policy, prompt, response);
      reference(i) = log_prob(world.initial, prompt, response);
    }
    const auto expected = loss.value_and_grad({.log_probs = now,
                                               .reference_log_probs = reference,
                                               .desirable = desirable,
                                               .kl_baseline = baseline,
                                               .weights = weights});
    const Eigen::ArrayXd d_tokens = sequence_spread(expected.d_log_probs, responses.responses.offsets);
    policy.forward(responses).second({.log_probs = {d_tokens.data(), responses.responses.total()}});
    return std::tuple{expected.value, expected.accuracy, expected.margin, policy.gradient};
  };
  const auto [value, accuracy, margin, gradient] = by_hand(mismatched);
  const auto [other_value, other_accuracy, other_margin, other_gradient] = by_hand(0);
  REQUIRE(std::abs(value - other_value) > 1e-3);
  REQUIRE((gradient - other_gradient).cwiseAbs().maxCoeff() > 1e-4);

  for (const std::size_t sequences : {0, 1, 2}) {
    toy::tabular_policy policy = world.policy;
    toy::sgd optimizer{policy};
    direct_preference_trainer trainer{
        policy, world.initial, optimizer, loss, {.micro_batch = {.sequences = sequences}, .gradient_norm_clip = 0}};
    const auto statistics = trainer.step(data);
    CHECK(statistics.kl_baseline == Approx(mismatched).epsilon(1e-12));
    CHECK(statistics.loss == Approx(value).epsilon(1e-12));
    CHECK(statistics.accuracy == Approx(accuracy).epsilon(1e-12));
    CHECK(statistics.reward_difference == Approx(margin).epsilon(1e-12));
    CHECK((policy.gradient - gradient).cwiseAbs().maxCoeff() < 1e-12);
  }
}

TEST_CASE("KTO's baseline is the whole batch's on any number of ranks") {
  std::vector<double> baselines;
  Eigen::MatrixXd alone;
  for (const std::size_t count : {1, 2, 3}) {
    test::run_ranks(count, [&](auto& ranks) {
      moved_world world;
      toy::sgd optimizer{world.policy};
      const direct_preference_options options{
          .learning_rate = {.peak = 0.1}, .batch_size = 5, .epochs = 3, .shuffle = false};
      direct_preference_trainer trainer{world.policy, world.initial, optimizer, kto_loss{}, options, ranks};
      const auto history = trainer.fit(mixed_examples());
      if (ranks.rank() != 0) return;
      baselines.push_back(history[0].kl_baseline);
      if (count == 1) alone = world.policy.logits;
      CHECK((world.policy.logits - alone).cwiseAbs().maxCoeff() < 1e-12);
    });
  }
  CHECK(baselines[0] > 0.05);
  CHECK(baselines[1] == Approx(baselines[0]).epsilon(1e-12));
  CHECK(baselines[2] == Approx(baselines[0]).epsilon(1e-12));
}

TEMPLATE_TEST_CASE("examples of weight 0 change nothing of a preference step", "", dpo_loss, kto_loss, orpo_loss,
                   simpo_loss, cpo_loss, linear_preference_loss) {
  auto data = mixed_examples();
  if constexpr (!std::is_same_v<TestType, kto_loss>) data.erase(data.begin() + 1, data.begin() + 3);
  auto padded = data;
  const direct_preference_example ignored{.prompt = {2, 1}, .chosen = {2, 2}, .rejected = {1, 2}, .weight = 0};
  for (const std::ptrdiff_t place : {0, 2, 4}) padded.insert(padded.begin() + place, ignored);
  padded.push_back(ignored);
  const auto step = [](const examples& batch, std::size_t sequences) {
    moved_world world;
    toy::sgd optimizer{world.policy};
    direct_preference_trainer trainer{world.policy,
                                      world.initial,
                                      optimizer,
                                      TestType{},
                                      {.micro_batch = {.sequences = sequences}, .gradient_norm_clip = 0}};
    return std::pair{trainer.step(batch), world.policy.gradient};
  };
  const auto [expected, gradient] = step(data, 0);
  CHECK(gradient.cwiseAbs().maxCoeff() > 1e-3);
  for (const std::size_t sequences : {0, 1, 2}) {
    const auto [statistics, same] = step(padded, sequences);
    CHECK((same - gradient).cwiseAbs().maxCoeff() < 1e-12);
    CHECK(statistics.loss == Approx(expected.loss).epsilon(1e-12));
    CHECK(statistics.kl_baseline == Approx(expected.kl_baseline).epsilon(1e-12));
    CHECK(statistics.accuracy == Approx(expected.accuracy).epsilon(1e-12));
    CHECK(statistics.reward_difference == Approx(expected.reward_difference).epsilon(1e-12));
    CHECK(statistics.chosen_log_prob == Approx(expected.chosen_log_prob).epsilon(1e-12));
    CHECK(statistics.rejected_log_prob == Approx(expected.rejected_log_prob).epsilon(1e-12));
  }
}

TEST_CASE("accuracy, margin and mean log-probs of a preference batch by hand") {
  moved_world world;
  auto data = mixed_examples();
  const auto evaluate = [&](const auto& loss, const examples& batch) {
    toy::sgd optimizer{world.policy};
    return direct_preference_trainer{world.policy, world.initial, optimizer, loss, {.micro_batch = {.sequences = 2}}}
        .evaluate(batch);
  };
  // A mean over the responses that are there: four chosen ones, four rejected ones, each once whatever its weight.
  const auto single = evaluate(kto_loss{}, data);
  double chosen = 0, rejected = 0;
  for (const auto& e : data) {
    chosen += log_prob(world.policy, e.prompt, e.chosen) / 4;
    rejected += log_prob(world.policy, e.prompt, e.rejected) / 4;
  }
  CHECK(single.chosen_log_prob == Approx(chosen).epsilon(1e-12));
  CHECK(single.rejected_log_prob == Approx(rejected).epsilon(1e-12));

  data.erase(data.begin() + 1, data.begin() + 3);
  chosen = rejected = 0;
  double of_ratios = 0, right = 0, of_sums = 0, of_means = 0, of_odds = 0;
  const auto log_odds = [](double l) { return l - std::log(1 - std::exp(l)); };
  for (const auto& e : data) {
    const double p = log_prob(world.policy, e.prompt, e.chosen), o = log_prob(world.policy, e.prompt, e.rejected);
    const double z = log_ratio(world, e.prompt, e.chosen) - log_ratio(world, e.prompt, e.rejected);
    const double mean_p = p / static_cast<double>(e.chosen.size()), mean_o = o / static_cast<double>(e.rejected.size());
    chosen += p / 3;
    rejected += o / 3;
    of_ratios += 0.3 * z / 3;
    right += (z > 0 ? 1.0 : 0.0) / 3;
    of_sums += 0.3 * (p - o) / 3;
    of_means += 1.5 * (mean_p - mean_o) / 3;
    of_odds += (log_odds(mean_p) - log_odds(mean_o)) / 3;
  }
  const auto dpo = evaluate(dpo_loss{{.beta = 0.3}}, data);
  CHECK(dpo.chosen_log_prob == Approx(chosen).epsilon(1e-12));
  CHECK(dpo.rejected_log_prob == Approx(rejected).epsilon(1e-12));
  CHECK(dpo.reward_difference == Approx(of_ratios).epsilon(1e-12));
  CHECK(dpo.accuracy == Approx(right).epsilon(1e-12));
  CHECK(right > 0.1);
  CHECK(right < 0.9);
  CHECK(evaluate(cpo_loss{{.beta = 0.3}}, data).reward_difference == Approx(of_sums).epsilon(1e-12));
  CHECK(evaluate(simpo_loss{{.beta = 1.5}}, data).reward_difference == Approx(of_means).epsilon(1e-12));
  CHECK(evaluate(orpo_loss{}, data).reward_difference == Approx(of_odds).epsilon(1e-12));
}
