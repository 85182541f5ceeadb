#include <cstring>

#include <coho/parallel/gradient_sum.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/options/reward_model_options.hpp>
#include <coho/train/ppo.hpp>
#include <coho/train/reward_model.hpp>
#include <coho/train/supervised.hpp>

#include "support/catch.hpp"
#include "support/small_world.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;
using test::small_world;

namespace {

/// Float gradients, as the models of the trainer have.
struct floats {
  std::vector<float> gradient = std::vector<float>(2, 7.0F);
  std::vector<std::size_t> begun{};
  int ends = 0;
  void zero_gradients() { gradient.assign(2, 0.0F); }
  std::vector<std::span<float>> gradients() { return {gradient}; }
  void begin_shard(std::size_t shard) { begun.push_back(shard); }
  void end_shards() { ++ends; }
};

// Twelve shards whose sum in float depends on its order.
float of_shard(std::size_t shard, std::size_t place) {
  return (place == 0 ? 1.0F : -1.0F) * (1.0F + static_cast<float>(shard) / 3.0F) * (shard % 3 == 0 ? 1e7F : 1.0F);
}

std::vector<float> summed(std::size_t ranks_count, std::size_t shards) {
  std::vector<float> out;
  test::run_ranks(
      ranks_count,
      [&](auto& ranks) {
        floats model;
        gradient_sum sum(ranks, shards, model);
        const index_range mine = shards_of_rank(ranks);
        for (std::size_t s = mine.begin; s < mine.end; ++s) {
          sum.begin_shard(s);
          for (std::size_t i = 0; i < 2; ++i) model.gradient[i] += of_shard(s, i);
          sum.end_shard();
        }
        sum.end_forwards();
        sum.all_reduce();
        if (model.begun.size() != mine.size() || model.ends != 1) throw error("a share was not announced");
        if (ranks.rank() == ranks_count - 1) out = model.gradient;
      },
      shards);
  return out;
}

// Of each of three tokens, how many: the features of a linear reward.
Eigen::VectorXd count_tokens(const reward_query& query) {
  Eigen::VectorXd out = Eigen::VectorXd::Zero(3);
  for (const token t : query.response_tokens) out(t) += 1;
  return out;
}

bool same_bits(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), sizeof(double) * static_cast<std::size_t>(a.size())) == 0;
}

}  // namespace

TEST_CASE("the sum over shards does not depend on who works on them") {
  double exact = 0;
  float in_float = 0;
  for (std::size_t s = 0; s < 12; ++s) {
    exact += of_shard(s, 0);
    in_float += of_shard(s, 0);
  }
  REQUIRE(in_float != static_cast<float>(exact));
  const std::vector<float> expected{static_cast<float>(exact), -static_cast<float>(exact)};
  for (const std::size_t ranks : {1U, 2U, 3U, 5U, 12U, 13U}) CHECK(summed(ranks, 12) == expected);
}

TEST_CASE("one share on one rank costs and changes nothing") {
  floats model;
  gradient_sum sum(local, 1, model);
  CHECK(model.gradient == std::vector<float>{0, 0});
  sum.begin_shard(0);
  model.gradient = {1, 2};
  sum.end_shard();
  sum.end_forwards();
  sum.all_reduce();
  CHECK(model.gradient == std::vector<float>{1, 2});
  CHECK(model.begun.empty());
  CHECK(model.ends == 0);
}

// The toys' gradients are doubles, whose sum over a rank's shards and then over the ranks rounds elsewhere than the sum
// in one go: bit for bit where a rank has one shard or all.
TEST_CASE("ppo with a given number of shards is the same on one, two, three and five ranks") {
  const auto run = [](std::size_t count, std::size_t shards, minibatch_scope scope = minibatch_scope::global) {
    Eigen::MatrixXd out;
    std::vector<ppo_statistics> history;
    test::run_ranks(
        count,
        [&](auto& ranks) {
          small_world world;
          auto options = small_world::options();
          options.minibatch_size = 11;
          options.micro_batch.tokens = 6;
          options.gradient_norm_clip = 0.3;
          options.scope = scope;
          options.shaping.kl_coefficient = shaping_options{}.kl_coefficient;
          options.adaptive_kl = adaptive_kl_options{.initial = 0.2, .target = 0.05, .horizon = 100};
          ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer,
                                         world.optimizer, no_decoder, no_bonus, ranks},
                              options};
          const auto prompts = small_world::prompts(35);
          const index_range mine = range_of_rank(prompts.size(), ranks);
          std::vector<ppo_statistics> made;
          for (int step = 0; step < 3; ++step)
            made.push_back(trainer.step(std::span(prompts).subspan(mine.begin, mine.size())));
          if (ranks.rank() == count - 1) {
            out = world.policy.logits;
            history = made;
          }
        },
        shards);
    return std::pair{out, history};
  };
  const auto [one, one_history] = run(1, 4);
  for (const std::size_t ranks : {2U, 3U, 4U, 5U}) {
    const auto [several, history] = run(ranks, 4);
    CHECK(test::largest_difference(one, several) < 1e-14);
    if (ranks >= 4) CHECK(same_bits(one, several));
    REQUIRE(history.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      const double tolerance = ranks >= 4 ? 0 : 1e-13;
      CHECK(history[i].reward_mean == Approx(one_history[i].reward_mean).epsilon(tolerance));
      CHECK(history[i].policy_loss == Approx(one_history[i].policy_loss).epsilon(tolerance).margin(tolerance));
      CHECK(history[i].gradient_norm == Approx(one_history[i].gradient_norm).epsilon(tolerance));
      CHECK(history[i].explained_variance == Approx(one_history[i].explained_variance).epsilon(10 * tolerance));
      CHECK(history[i].kl_coefficient == Approx(one_history[i].kl_coefficient).epsilon(tolerance));
      CHECK(history[i].sequences == 35);
    }
    CHECK(history.front().score_deviation == one_history.front().score_deviation);
  }
  CHECK(test::largest_difference(one, run(1, 1).first) < 1e-12);
  CHECK(test::largest_difference(one, small_world().policy.logits) > 0.01);
}

TEST_CASE("a prompt's key that occurs on two ranks is refused on all") {
  test::run_ranks(2, [&](auto& ranks) {
    small_world world;
    ppo_trainer trainer{ppo_models{world.policy, world.initial, world.value, small_world::reward, world.optimizer,
                                   world.optimizer, no_decoder, no_bonus, ranks},
                        small_world::options()};
    try {
      trainer.step(small_world::prompts(3));
    } catch (const argument_error&) {
      return;
    }
    throw error("equal keys were taken");
  });
}

TEST_CASE("supervised fitting and reward models with given shards are the same on any ranks") {
  std::vector<supervised_example> examples;
  for (int i = 0; i < 11; ++i) {
    examples.push_back({.prompt = {1}, .response = std::vector<token>(1 + static_cast<std::size_t>(i) % 4, 2)});
    examples.back().response.push_back(0);
    for (std::size_t t = 0; t < examples.back().response.size(); ++t)
      examples.back().token_weights.push_back(1.0 / (1.0 + static_cast<double>(i) + static_cast<double>(t)));
  }
  const auto supervised = [&](std::size_t count, std::size_t shards) {
    Eigen::MatrixXd out;
    test::run_ranks(
        count,
        [&](auto& ranks) {
          small_world world;
          toy::sgd optimizer(world.policy);
          supervised_trainer trainer(
              world.policy, optimizer,
              {.learning_rate = {.peak = 0.3}, .batch_size = 5, .micro_batch = {.sequences = 1}, .epochs = 3}, ranks);
          trainer.fit(examples);
          if (ranks.rank() == 0) out = world.policy.logits;
        },
        shards);
    return out;
  };
  std::vector<std::vector<token>> answers;
  for (std::size_t i = 0; i < 14; ++i) answers.emplace_back(1 + i % 5, static_cast<token>(i % 3));
  std::vector<preference_pair> pairs;
  for (std::size_t i = 0; i < 7; ++i)
    pairs.push_back({{.response_tokens = answers[i]}, {.response_tokens = answers[13 - i]}, 0.9});
  const auto reward = [&](std::size_t count, std::size_t shards) {
    Eigen::MatrixXd out;
    double loss = 0;
    test::run_ranks(
        count,
        [&](auto& ranks) {
          toy::linear_reward model(3, count_tokens);
          toy::sgd optimizer(model);
          reward_model_trainer trainer(model, optimizer, {.learning_rate = {.peak = 0.1}, .batch_size = 4, .epochs = 3},
                                       ranks);
          trainer.fit(pairs);
          const double found = trainer.evaluate_shared(pairs).loss;
          if (ranks.rank() == 0) {
            out = model.weights;
            loss = found;
          }
        },
        shards);
    return std::pair{out, loss};
  };
  for (const std::size_t ranks : {3U, 4U}) {
    CHECK(same_bits(supervised(1, 3), supervised(ranks, 3)));
    CHECK(same_bits(reward(1, 3).first, reward(ranks, 3).first));
    CHECK(reward(1, 3).second == reward(ranks, 3).second);
  }
  CHECK(test::largest_difference(supervised(1, 3), supervised(2, 3)) < 1e-14);
  CHECK(test::largest_difference(reward(1, 3).first, reward(2, 3).first) < 1e-14);
  CHECK(test::largest_difference(supervised(1, 3), supervised(1, 1)) < 1e-12);
}
