#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include <coho/rng.hpp>
#include <coho/toy/adam.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/reward_model.hpp>
#include <coho/train/steps/model_outputs.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/small_world.hpp"
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

/// 1 less what is left of the spread of the true rewards of the first responses after the learned ones are taken off,
/// each up to a constant (which preferences cannot show).
double determination(const Eigen::VectorXd& weights, const preferences& held_out) {
  Eigen::ArrayXd learnt(static_cast<Eigen::Index>(held_out.pairs.size())), real(learnt.size());
  for (Eigen::Index i = 0; i < learnt.size(); ++i) {
    const auto features = counts(held_out.pairs[static_cast<std::size_t>(i)].chosen);
    learnt(i) = features.dot(weights);
    real(i) = features.dot(held_out.truth);
  }
  const Eigen::ArrayXd residual = (real - real.mean()) - (learnt - learnt.mean());
  return 1 - residual.square().sum() / (real - real.mean()).square().sum();
}

/// Two responses whose features differ in one number, so that a pair has one free difference of scores.
const std::vector<token> with{0, 1}, without{1};
preference_pair one_difference(double target) {
  return {{.response_tokens = with}, {.response_tokens = without}, target};
}

/// The difference that training on pairs of these targets leads to, from `start`.
template <class Loss = bradley_terry_loss>
double difference_after(const std::vector<double>& targets, const Loss& loss = Loss{}, double start = 2) {
  std::vector<preference_pair> pairs;
  for (const double target : targets) pairs.push_back(one_difference(target));
  auto reward = model();
  reward.weights(0) = start;
  toy::sgd optimizer(reward);
  const reward_model_options options{
      .learning_rate = {.peak = 2}, .batch_size = pairs.size(), .epochs = 400, .gradient_norm_clip = 0};
  reward_model_trainer(reward, optimizer, options, local, loss).fit(pairs);
  return reward.weights(0);
}
double logit(double p) { return std::log(p / (1 - p)); }

/// −d of a pair, a gradient of −3 for what is chosen and of 1 for what is rejected: whichever goes elsewhere shows.
struct lopsided_loss {
  pair_gradient value_and_grad(const pair_scores& x, const token_weights<Eigen::ArrayXd>& weights) const {
    return {.value = (weights.values * (x.rejected - x.chosen)).sum(),
            .d_chosen = -3 * weights.values * x.targets,
            .d_rejected = weights.values * x.targets};
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

  CHECK(determination(reward.weights, held_out) >= 0.99);

  const auto after = trainer.evaluate(held_out.pairs);
  CHECK(after.accuracy > 0.75);
  CHECK(after.score_difference > 0);
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
  CHECK(trainer.evaluate(pairs).score_difference == Approx(2.5));
}

TEST_CASE("targets of pairs move scores to where the loss says") {
  CHECK(difference_after({0.5}) == Approx(0).margin(1e-6));
  CHECK(difference_after({0.5, 0.5}, bradley_terry_loss{{.margin = 0.3}}) == Approx(0.3).epsilon(1e-6));
  CHECK(difference_after({0.8}) == Approx(logit(0.8)).epsilon(1e-6));
  CHECK(difference_after({0.3}) == Approx(logit(0.3)).epsilon(1e-6));
  CHECK(difference_after({1, 1, 0.5, 0}) == Approx(logit(2.5 / 4)).epsilon(1e-6));
  const bradley_terry_loss smooth{{.label_smoothing = 0.1}};
  CHECK(difference_after({0.8}, smooth) == Approx(logit(0.8 * 0.9 + 0.2 * 0.1)).epsilon(1e-6));
  CHECK_THROWS_AS(difference_after({1.5}), argument_error);
  CHECK_THROWS_AS(difference_after({-0.5}), argument_error);
}

TEST_CASE("loss, accuracy, margin and score with targets by hand") {
  const std::vector<token> none{4}, half{3};
  auto reward = model();
  reward.weights << 2, 0, 0, 0.5, 0;
  toy::sgd optimizer(reward);
  const reward_query two{.response_tokens = with}, zero{.response_tokens = none}, little{.response_tokens = half};
  // Differences 2, −2, 0.5, 0 and −1.5: right, half (a tie), wrong, half (equal scores), right.
  const std::vector<preference_pair> pairs{
      {two, zero}, {zero, two, 0.5}, {little, zero, 0.25}, {zero, zero, 0.9}, {little, two, 0.1}};
  for (const std::size_t sequences : {0, 1, 2}) {
    reward_model_trainer trainer(reward, optimizer, {.micro_batch = {.sequences = sequences}});
    const auto s = trainer.evaluate(pairs);
    CHECK(s.accuracy == Approx((1 + 0.5 + 0 + 0.5 + 1) / 5));
    CHECK(s.score_difference == Approx((2.0 + 0 - 0.5 * 0.5 + 0 + 0.8 * 1.5) / 5));
    CHECK(s.score == Approx((2 + 2 + 0.5 + 0 + 0.5 + 2) / 10));
    const auto cost = [](double d, double t) { return std::log1p(std::exp(-d)) + (1 - t) * d; };
    CHECK(s.loss == Approx((cost(2, 1) + cost(-2, 0.5) + cost(0.5, 0.25) + cost(0, 0.9) + cost(-1.5, 0.1)) / 5));
  }
}

TEST_CASE("a reward model learns from wins and ties with the loss for ties") {
  // One step by hand: at d = 0 a win of Rao and Kupper's has dL/dd = −σ(ln θ) = −2/3 at θ = 2.
  const std::vector<preference_pair> win{one_difference(1)};
  auto reward = model();
  toy::sgd optimizer(reward);
  reward_model_trainer by_hand(reward, optimizer, {.learning_rate = {.peak = 1}, .gradient_norm_clip = 0}, local,
                               bradley_terry_ties_loss{});
  CHECK(by_hand.step(win).loss == Approx(std::log(3.0)));
  CHECK(reward.weights(0) == Approx(2.0 / 3));
  CHECK(reward.weights(1) == 0);  // in both responses
  CHECK(difference_after({0.5}, bradley_terry_ties_loss{}) == Approx(0).margin(1e-6));
  CHECK(difference_after({0, 0.5}, bradley_terry_ties_loss{}) < -0.5);

  // Outcomes sampled from a truth, with Rao and Kupper's ties: its rewards come back, their scale too.
  preferences data(8000, 3);
  const preferences held_out(1000, 2);
  const bradley_terry_ties_loss loss{{.theta = 3}};
  rng random(8);
  std::size_t ties = 0;
  for (auto& pair : data.pairs) {
    const auto p = loss.probabilities(data.truth.dot(counts(pair.chosen)), data.truth.dot(counts(pair.rejected)));
    const double u = random.uniform();
    pair.target = u < p.win ? 1 : u < p.win + p.tie ? 0.5 : 0;
    ties += pair.target == 0.5 ? 1 : 0;
  }
  CHECK(ties > 1500);
  auto learnt = model();
  toy::adam adam({}, learnt);
  reward_model_trainer trainer(learnt, adam,
                               {.learning_rate = {.peak = 0.05, .kind = schedule_kind::cosine, .total_steps = 375},
                                .batch_size = 64,
                                .epochs = 3},
                               local, loss);
  trainer.fit(data.pairs);
  CHECK(determination(learnt.weights, held_out) >= 0.99);
}

TEST_CASE("a caller's own pair loss is given targets, and its gradients reach the responses they are of") {
  const std::vector<token> good{0}, bad{1};
  const std::vector<preference_pair> pairs{{{.response_tokens = good}, {.response_tokens = bad}},
                                           {{.response_tokens = good}, {.response_tokens = bad}, 0.5}};
  auto reward = model();
  toy::sgd optimizer(reward);
  reward_model_trainer trainer(reward, optimizer, {.learning_rate = {.peak = 1}, .gradient_norm_clip = 0}, local,
                               lopsided_loss{});
  CHECK(trainer.step(pairs).loss == 0);
  CHECK(reward.weights(0) == Approx(3 * 0.75));
  CHECK(reward.weights(1) == Approx(-0.75));
  CHECK(trainer.evaluate(pairs).loss == Approx(-3));
  reward.weights(0) = 1e308;
  reward.weights(1) = -1e308;
  CHECK_THROWS_WITH(trainer.evaluate(pairs), Catch::Matchers::ContainsSubstring("the pair loss is not finite"));
  // Options of a loss that is not the one in use would be lost.
  const reward_model_options lost{.loss = {.margin = 0.5}};
  CHECK_THROWS_AS(reward_model_trainer(reward, optimizer, lost, local, lopsided_loss{}), option_error);
}

TEST_CASE("mistake 10: a reward model's score does not depend on the batch it is scored in") {
  // Scores that tell responses apart; calls and their largest batch are counted.
  std::size_t calls = 0, most = 0;
  auto reward = [&](std::span<const reward_query> queries) {
    ++calls;
    most = std::max(most, queries.size());
    std::vector<double> out;
    for (const auto& query : queries) {
      double score = 0.1 * static_cast<double>(query.prompt_tokens.size());
      for (const token t : query.response_tokens) score = std::sin(3 * score + static_cast<double>(t));
      out.push_back(score);
    }
    return out;
  };
  rng random(5);
  std::vector<std::vector<token>> texts(23);
  std::vector<reward_query> queries;
  for (auto& text : texts) {
    text.resize(1 + random.index(9));
    for (auto& t : text) t = static_cast<token>(random.index(100));
    queries.push_back({.prompt_tokens = std::span(text).first(1), .response_tokens = text});
  }
  std::vector<double> alone;
  for (const auto& query : queries) alone.push_back(reward(std::span(&query, 1))[0]);
  const std::vector<batch_limits> all_limits{{},
                                             {.sequences = 1},
                                             {.sequences = 5},
                                             {.tokens = 17},
                                             {.sequences = 4, .sort_by_length = true},
                                             {.tokens = 30, .sort_by_length = true}};
  for (const auto& limits : all_limits) {
    calls = most = 0;
    const Eigen::ArrayXd scores = evaluate_scores(reward, queries, limits);
    for (std::size_t i = 0; i < queries.size(); ++i) CHECK(scores(static_cast<Eigen::Index>(i)) == alone[i]);
    CHECK((calls == 1) == (limits.sequences == 0 && limits.tokens == 0));
    if (limits.sequences != 0) CHECK(most == limits.sequences);
  }

  // Nor do the scores, and with them the rewards, of a PPO step.
  for (const auto& limits : all_limits) {
    test::small_world world;
    auto options = test::small_world::options();
    options.scoring_batch = limits;
    test::keep_rollouts keep;
    world.trainer(reward, options).step(test::small_world::prompts(20), keep);
    const auto asked = keep.seen.queries();
    REQUIRE(asked.size() == 20);
    for (std::size_t i = 0; i < asked.size(); ++i) {
      CHECK(keep.seen.model_scores(static_cast<Eigen::Index>(i)) == reward(std::span(&asked[i], 1))[0]);
      CHECK(keep.seen.sequence_rewards(static_cast<Eigen::Index>(i)) == reward(std::span(&asked[i], 1))[0]);
    }
  }
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
  for (const auto& changed : {reward_model_state{5, 3, 8}, reward_model_state{5, 4, 9}}) {
    CHECK_THROWS_AS(second.restore(changed), argument_error);
  }
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
