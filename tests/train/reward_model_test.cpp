#include <coho/train/reward_model.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#include <coho/rng.hpp>
#include <coho/toy/adam.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/toy/sgd.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;

namespace {
constexpr std::size_t kinds = 5;

/// How often each token occurs.
Eigen::VectorXd counts(const reward_query& query) {
  Eigen::VectorXd out = Eigen::VectorXd::Zero(static_cast<Eigen::Index>(kinds));
  for (const token t : query.response_tokens) out(t) += 1;
  return out;
}
auto model() { return toy::linear_reward(kinds, counts); }

struct preferences {
  Eigen::VectorXd truth{{1.5, -1.0, 0.5, 0.0, -0.7}};
  std::vector<std::vector<token>> responses;
  std::vector<preference_pair> pairs;

  explicit preferences(std::size_t count, std::uint64_t seed = 1) : responses(2 * count) {
    rng random(seed);
    for (auto& response : responses) {
      response.resize(1 + random.index(6));
      for (auto& t : response) t = static_cast<token>(random.index(kinds));
    }
    for (std::size_t i = 0; i < count; ++i) {
      const reward_query a{.response_tokens = responses[2 * i]}, b{.response_tokens = responses[2 * i + 1]};
      const double difference = truth.dot(counts(a) - counts(b));
      // Labels as Bradley and Terry have them: noisy near a tie.
      const bool first = random.bernoulli(1 / (1 + std::exp(-difference)));
      pairs.push_back(first ? preference_pair{a, b} : preference_pair{b, a});
    }
  }
};

template <class Ranks = const local_communicator>
Eigen::VectorXd trained(const reward_model_options& options, std::span<const preference_pair> pairs,
                        Ranks& ranks = local) {
  auto reward = model();
  toy::adam optimizer({}, reward);
  reward_model_trainer(reward, optimizer, options, ranks).fit(pairs);
  return reward.weights;
}
}  // namespace

TEST_CASE("the reward model recovers a linear truth") {
  const preferences data(8000), held_out(1000, 2);
  auto reward = model();
  toy::adam optimizer({}, reward);
  reward_model_trainer trainer(reward, optimizer,
                               {.learning_rate = {.peak = 0.05, .kind = schedule_kind::cosine, .total_steps = 375},
                                .batch_size = 64,
                                .epochs = 3});
  const auto before = trainer.evaluate(held_out.pairs);
  CHECK(before.loss == Approx(std::log(2.0)));
  CHECK(before.accuracy == 0.5);  // all ties
  const auto history = trainer.fit(data.pairs);
  CHECK(history.size() == 375);
  CHECK(history.back().epoch == 2);

  // R² of the learnt rewards against the true ones, each up to a constant (which preferences cannot show).
  Eigen::ArrayXd learnt(static_cast<Eigen::Index>(held_out.pairs.size())), real(learnt.size());
  for (Eigen::Index i = 0; i < learnt.size(); ++i) {
    const auto features = counts(held_out.pairs[static_cast<std::size_t>(i)].preferred);
    learnt(i) = features.dot(reward.weights);
    real(i) = features.dot(held_out.truth);
  }
  const Eigen::ArrayXd residual = (real - real.mean()) - (learnt - learnt.mean());
  CHECK(1 - residual.square().sum() / (real - real.mean()).square().sum() >= 0.99);

  const auto after = trainer.evaluate(held_out.pairs);
  CHECK(after.accuracy > 0.75);
  CHECK(after.margin > 0);
  CHECK(after.pairs == 1000);
}

TEST_CASE("micro-batches do not change a reward-model step") {
  const preferences data(40);
  const reward_model_options whole{.learning_rate = {.peak = 0.1},
                                   .loss = {.margin = 0.1, .label_smoothing = 0.05, .centring = 0.01},
                                   .batch_size = 40,
                                   .epochs = 5};
  for (const batch_limits limits :
       {batch_limits{.sequences = 1}, batch_limits{.sequences = 7}, batch_limits{.tokens = 20}}) {
    auto parts = whole;
    parts.micro_batch = limits;
    CHECK((trained(whole, data.pairs) - trained(parts, data.pairs)).cwiseAbs().maxCoeff() < 1e-12);
  }
}

TEST_CASE("the number of ranks does not change reward-model training") {
  const preferences data(30);
  const reward_model_options options{
      .learning_rate = {.peak = 0.1}, .batch_size = 8, .epochs = 2, .gradient_norm_clip = 0.2};
  Eigen::VectorXd three;
  test::run_ranks(3, [&](auto& ranks) {
    const auto weights = trained(options, data.pairs, ranks);
    if (ranks.rank() == 0) three = weights;
  });
  CHECK((three - trained(options, data.pairs)).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("one step by hand") {
  const std::vector<token> good{0, 0}, bad{1};
  const std::vector<preference_pair> pairs{{{.response_tokens = good}, {.response_tokens = bad}}};
  auto reward = model();
  toy::sgd optimizer(reward);
  reward_model_trainer trainer(reward, optimizer, {.learning_rate = {.peak = 1}, .gradient_norm_clip = 0});
  const auto s = trainer.step(pairs);
  // At equal scores dL/dΔ = −1/2; features differ by (2, −1, 0, …).
  CHECK(s.loss == Approx(std::log(2.0)));
  CHECK(s.gradient_norm == Approx(std::sqrt(1.25)));
  CHECK(reward.weights(0) == Approx(1));
  CHECK(reward.weights(1) == Approx(-0.5));
  CHECK(trainer.evaluate(pairs).accuracy == 1);
  CHECK(trainer.evaluate(pairs).margin == Approx(2.5));
}

TEST_CASE("mistake 11: a resumed reward model run equals an uninterrupted one") {
  const preferences data(30);
  const reward_model_options options{.learning_rate = {.peak = 0.1, .kind = schedule_kind::cosine, .total_steps = 12},
                                     .batch_size = 8,
                                     .epochs = 3,
                                     .seed = 4};
  struct stop_after_five {
    int seen = 0;
    void on_step_begin(std::uint64_t) { ++seen; }
    bool stop_requested() const { return seen == 5; }
  };
  auto reward = model();
  toy::adam optimizer({}, reward);
  reward_model_trainer first(reward, optimizer, options);
  first.fit(data.pairs, stop_after_five{});
  CHECK(first.save().step == 5);

  auto again = model();
  again.weights = reward.weights;
  toy::adam other({}, again);
  other.restore(optimizer.save());
  reward_model_trainer second(again, other, options);
  second.restore(first.save());
  CHECK(second.fit(data.pairs).size() == 7);
  CHECK(again.weights == trained(options, data.pairs));
}

TEST_CASE("reward-model callbacks see the epoch") {
  const preferences data(5);
  std::vector<std::uint64_t> seen;
  struct {
    std::vector<std::uint64_t>& seen;
    void on_step_end(const reward_model_statistics& s) { seen.push_back(s.epoch); }
  } callback{seen};
  auto reward = model();
  toy::sgd optimizer(reward);
  reward_model_trainer trainer(reward, optimizer, {.batch_size = 2, .epochs = 3});
  const auto history = trainer.fit(data.pairs, callback);
  CHECK(seen == std::vector<std::uint64_t>{0, 0, 0, 1, 1, 1, 2, 2, 2});
  REQUIRE(history.size() == seen.size());
  for (std::size_t i = 0; i < seen.size(); ++i) CHECK(history[i].epoch == seen[i]);
}

TEST_CASE("the driver asks for no more than the concepts") {
  test::archetype::trained_reward least;
  test::archetype::optimizer optimizer;
  reward_model_trainer trainer(least, optimizer);
  const preferences data(3);
  CHECK(trainer.evaluate(data.pairs).accuracy == 0.5);
  CHECK_THROWS_AS(trainer.step({}), argument_error);
  CHECK_THROWS_AS(reward_model_trainer(least, optimizer, {.batch_size = 0}), option_error);
  CHECK_THROWS_AS(reward_model_trainer(least, optimizer, {.loss = {.label_smoothing = 2}}), option_error);
}
