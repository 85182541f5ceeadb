#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include <coho/reduce.hpp>
#include <coho/toy/adam.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/direct_preference.hpp>
#include <coho/train/direct_preference_examples.hpp>
#include <coho/train/steps/preference_objective.hpp>

#include "support/catch.hpp"
#include "support/own_components.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;
using coho::test::linear_preference_loss, coho::test::small_world;

namespace {

using examples = std::vector<direct_preference_example>;

double reward_of(std::span<const token> response) {
  const std::vector<token> prompt{small_world::prompt};
  const reward_query query{.prompt_tokens = prompt, .response_tokens = response};
  return small_world::reward(std::span(&query, 1))[0];
}

/// Pairs sampled from the initial policy, labelled by a Bradley–Terry judge of the world's reward.
examples judged_pairs(std::size_t count, std::uint64_t seed) {
  const packed<token> responses = small_world{}.sampled(2 * count, seed);
  rng random(seed, 1);
  examples out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto first = responses[2 * i], second = responses[2 * i + 1];
    const double wins = 1 / (1 + std::exp(reward_of(second) - reward_of(first)));
    const bool kept = random.uniform() < wins;
    const auto chosen = kept ? first : second, rejected = kept ? second : first;
    out.push_back({.prompt = {small_world::prompt},
                   .chosen = {chosen.begin(), chosen.end()},
                   .rejected = {rejected.begin(), rejected.end()}});
  }
  return out;
}

/// A few pairs of different lengths and weights.
examples few_pairs() {
  auto out = judged_pairs(9, 4);
  for (std::size_t i = 0; i < out.size(); ++i) out[i].weight = 0.5 + 0.25 * static_cast<double>(i % 3);
  return out;
}

/// The loss and the gradient of one step over few_pairs.
template <class Loss>
std::pair<double, Eigen::MatrixXd> one_step(const Loss& loss, const examples& data,
                                            direct_preference_options options = {}) {
  small_world world;
  rng random(9);
  for (double& z : world.policy.logits.reshaped()) z += 0.3 * random.normal();
  toy::sgd optimizer{world.policy};
  options.gradient_norm_clip = 0;
  direct_preference_trainer trainer{world.policy, world.initial, optimizer, loss, options};
  const auto statistics = trainer.step(data);
  return {statistics.loss, world.policy.gradient};
}

// KTO's baseline is a constant of the step; with these examples it is 0, also a little to either side.
template <class Loss>
double evaluated(const Loss& loss, const examples& data, toy::tabular_policy policy) {
  small_world world;
  toy::sgd optimizer{policy};
  return direct_preference_trainer{policy, world.initial, optimizer, loss}.evaluate(data).loss;
}

}  // namespace

TEST_CASE("DPO on preferences of a Bradley-Terry reward reaches pi_init * exp(r / beta)") {
  const auto data = judged_pairs(20000, 7);
  small_world world;
  const double before = small_world::total_variation(small_world::distribution(world.policy), world.optimum(1));
  toy::adam optimizer{{}, world.policy};
  // Preferences of r say that differences of beta * log-ratios are differences of r: beta 1 gives pi_init * exp(r).
  direct_preference_trainer trainer{world.policy,
                                    world.initial,
                                    optimizer,
                                    dpo_loss{{.beta = 1}},
                                    {.learning_rate = {.peak = 0.05, .kind = schedule_kind::linear, .total_steps = 160},
                                     .batch_size = 500,
                                     .epochs = 4,
                                     .gradient_norm_clip = 0}};
  const auto history = trainer.fit(data);
  CHECK(history.size() == 160);
  CHECK(history.front().loss == Approx(std::log(2.0)));
  CHECK(history.back().loss < 0.99 * std::log(2.0));
  CHECK(before > 0.08);
  CHECK(small_world::total_variation(small_world::distribution(world.policy), world.optimum(1)) <= 0.02);
}

TEMPLATE_TEST_CASE("the gradient of each preference loss through the policy agrees with central differences", "",
                   dpo_loss, kto_loss, orpo_loss, simpo_loss, cpo_loss, linear_preference_loss) {
  const auto data = few_pairs();
  const TestType loss;
  small_world world;
  rng random(9);
  for (double& z : world.policy.logits.reshaped()) z += 0.3 * random.normal();
  const auto gradient = one_step(loss, data).second;
  double worst = 0, largest = 0;
  for (Eigen::Index k = 0; k < gradient.size(); ++k) {
    auto up = world.policy, down = world.policy;
    up.logits.reshaped()(k) += 1e-5;
    down.logits.reshaped()(k) -= 1e-5;
    const double numeric = (evaluated(loss, data, up) - evaluated(loss, data, down)) / 2e-5;
    worst = std::max(worst, std::abs(numeric - gradient.reshaped()(k)));
    largest = std::max(largest, std::abs(numeric));
  }
  CHECK(worst <= 1e-6);
  CHECK(largest > 1e-3);
}

TEST_CASE("how a preference batch is cut into forwards and ranks does not change the step") {
  const auto data = few_pairs();
  const auto whole = one_step(dpo_loss{}, data);
  for (const batch_limits limits :
       {batch_limits{.sequences = 1}, batch_limits{.sequences = 4}, batch_limits{.tokens = 9}}) {
    const auto parts = one_step(dpo_loss{}, data, {.micro_batch = limits});
    CHECK(parts.first == Approx(whole.first).epsilon(1e-12));
    CHECK((parts.second - whole.second).cwiseAbs().maxCoeff() < 1e-12);
  }
  Eigen::MatrixXd alone, shared;
  for (const std::size_t count : {1, 2}) {
    test::run_ranks(count, [&](auto& ranks) {
      small_world world;
      toy::sgd optimizer{world.policy};
      direct_preference_trainer trainer{world.policy,
                                        world.initial,
                                        optimizer,
                                        dpo_loss{},
                                        {.learning_rate = {.peak = 0.1}, .batch_size = 5, .epochs = 2},
                                        ranks};
      trainer.fit(data);
      if (ranks.rank() == 0) (count == 1 ? alone : shared) = world.policy.logits;
    });
  }
  CHECK((alone - shared).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("reference log-probs computed beforehand give the same step without the reference") {
  auto data = few_pairs();
  const auto with_reference = one_step(dpo_loss{}, data);
  small_world world;
  add_reference_log_probs(std::span(data), world.initial);
  CHECK(data[0].reference_chosen.has_value());
  rng random(9);
  for (double& z : world.policy.logits.reshaped()) z += 0.3 * random.normal();
  toy::sgd optimizer{world.policy};
  direct_preference_trainer trainer{world.policy, no_reference, optimizer, dpo_loss{}};
  CHECK(trainer.step(data).loss == Approx(with_reference.first).epsilon(1e-12));
  data[3].reference_rejected.reset();
  CHECK_THROWS_WITH(trainer.step(data), ContainsSubstring("needs a reference policy"));
}

TEST_CASE("KTO learns from single responses and estimates its baseline from mismatched ones") {
  auto data = judged_pairs(400, 3);
  for (std::size_t i = 0; i < data.size(); ++i) (i % 2 == 0 ? data[i].chosen : data[i].rejected).clear();
  small_world world;
  toy::adam optimizer{{}, world.policy};
  direct_preference_trainer trainer{world.policy,
                                    world.initial,
                                    optimizer,
                                    kto_loss{{.beta = 0.5}},
                                    {.learning_rate = {.peak = 0.05}, .batch_size = 50, .epochs = 8}};
  const auto history = trainer.fit(data);
  CHECK(history.front().loss == Approx(0.5));
  CHECK(history.front().kl_baseline == 0);
  CHECK(history.back().loss < 0.49);

  auto desirable = judged_pairs(50, 6);
  for (auto& example : desirable) example.rejected.clear();
  small_world liked;
  toy::adam liked_optimizer{{}, liked.policy};
  direct_preference_trainer only{liked.policy,
                                 liked.initial,
                                 liked_optimizer,
                                 kto_loss{{.beta = 0.5}},
                                 {.learning_rate = {.peak = 0.05}, .batch_size = 50, .epochs = 20}};
  CHECK(only.fit(desirable).back().kl_baseline > 0.01);

  CHECK_THROWS_WITH((direct_preference_trainer{world.policy, world.initial, optimizer, dpo_loss{}}.step(data)),
                    ContainsSubstring("example 0 has an empty response"));
}

TEST_CASE("a resumed preference run is the run that was not interrupted") {
  const auto data = judged_pairs(40, 5);
  const direct_preference_options options{.learning_rate = {.peak = 0.2}, .batch_size = 8, .epochs = 2, .seed = 3};
  small_world whole, cut;
  toy::sgd optimizer{whole.policy}, cut_optimizer{cut.policy};
  direct_preference_trainer trainer{whole.policy, whole.initial, optimizer, simpo_loss{}, options};
  trainer.fit(data);
  struct stop_at {
    std::uint64_t step;
    std::uint64_t seen = 0;
    void on_step_end(const direct_preference_statistics&) { ++seen; }
    bool stop_requested() const { return seen == step; }
  };
  direct_preference_trainer first{cut.policy, cut.initial, cut_optimizer, simpo_loss{}, options};
  stop_at stop{3};
  CHECK(first.fit(data, stop).size() == 3);
  direct_preference_trainer second{cut.policy, cut.initial, cut_optimizer, simpo_loss{}, options};
  second.restore(first.save());
  CHECK(second.fit(data).size() == 7);
  CHECK((whole.policy.logits - cut.policy.logits).cwiseAbs().maxCoeff() == 0);
  for (const auto& changed : {direct_preference_state{3, 4, 8}, direct_preference_state{3, 3, 9}}) {
    CHECK_THROWS_AS(second.restore(changed), argument_error);
  }
}

TEST_CASE("unusable preference examples are refused by name") {
  small_world world;
  toy::sgd optimizer{world.policy};
  direct_preference_trainer trainer{world.policy, world.initial, optimizer, dpo_loss{}};
  CHECK_THROWS_WITH(trainer.step(examples{{.prompt = {}, .chosen = {1}, .rejected = {1}}}),
                    ContainsSubstring("no prompt tokens"));
  CHECK_THROWS_WITH(trainer.step(examples{{.prompt = {1}, .chosen = {1}, .rejected = {1}, .weight = -1}}),
                    ContainsSubstring("weight below 0"));
  CHECK_THROWS_WITH(trainer.step(examples{{.prompt = {1}, .chosen = {1}, .rejected = {1}, .weight = 0}}),
                    ContainsSubstring("no example with a weight above 0"));
}

TEST_CASE("reference log-probs that some examples carry hold whatever the others of their forward carry") {
  // The second response's log-prob of the first example is the reference policy's own: log 1/4.
  const std::vector<direct_preference_example> data{
      {.prompt = {1}, .chosen = {1}, .rejected = {2}, .reference_chosen = -5, .reference_rejected = {}},
      {.prompt = {1}, .chosen = {1}, .rejected = {2}, .reference_chosen = -5, .reference_rejected = -5}};
  small_world world;
  const auto margin = [&](std::size_t sequences) {
    direct_preference_options options;
    options.micro_batch.sequences = sequences;
    toy::sgd optimizer(world.policy);
    direct_preference_trainer trainer{world.policy, world.initial, optimizer, dpo_loss{{.beta = 1}}, options};
    return trainer.evaluate(data).reward_difference;
  };
  const token_batch second{{{1}}, {{2}}};
  const double log_prob = world.initial.log_probs(second).front();
  // z = (log π − reference) of the one less that of the other; π is the initial policy.
  const token_batch first{{{1}}, {{1}}};
  const double z = (world.policy.log_probs(first).front() + 5) - (world.policy.log_probs(second).front() - log_prob);
  const double z_given = world.policy.log_probs(first).front() - world.policy.log_probs(second).front();
  CHECK(margin(0) == Approx((z + z_given) / 2));
  CHECK(margin(1) == Approx(margin(0)));
}
