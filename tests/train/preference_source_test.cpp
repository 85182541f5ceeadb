#include <coho/train/preference_source.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <coho/rng.hpp>
#include <coho/toy/adam.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/train/reward_model.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;

namespace {

Eigen::VectorXd letters(const reward_query& query) {
  Eigen::VectorXd out = Eigen::VectorXd::Zero(3);
  for (const char c : query.response) out(c - 'a') += 1;
  return out;
}

/// Responses over the letters a, b and c, made when they are asked for; only those of the last load are there.
struct made_on_demand {
  std::size_t count;
  std::vector<std::string> texts{};
  std::vector<preference_pair> pairs{};
  std::size_t loads = 0, largest = 0;

  static std::string text(std::size_t key) {
    rng random(5, key);
    std::string out(1 + random.index(5), 'a');
    for (char& c : out) c = static_cast<char>('a' + random.index(3));
    return out;
  }
  std::size_t size() const { return count; }
  std::span<const preference_pair> load(std::span<const std::size_t> indices) {
    ++loads;
    largest = std::max(largest, indices.size());
    texts.clear();
    pairs.clear();
    texts.reserve(2 * indices.size());
    for (const std::size_t i : indices)
      for (const std::size_t key : {2 * i, 2 * i + 1}) texts.push_back(text(key));
    for (std::size_t k = 0; k < indices.size(); ++k)
      pairs.push_back({.chosen = {.response = texts[2 * k]}, .rejected = {.response = texts[2 * k + 1]}});
    return pairs;
  }
};

const reward_model_options options{
    .learning_rate = {.peak = 0.1}, .batch_size = 8, .micro_batch = {.sequences = 3}, .epochs = 2, .seed = 4};

template <class Data>
Eigen::VectorXd trained_from(Data& data, auto& ranks) {
  toy::linear_reward reward(3, letters);
  toy::adam optimizer({}, reward);
  reward_model_trainer trainer(reward, optimizer, options, ranks);
  trainer.fit(data);
  return reward.weights;
}

}  // namespace

TEST_CASE("preference_source: a model learns from it as from the same pairs in memory") {
  STATIC_REQUIRE(preference_source<made_on_demand>);
  STATIC_REQUIRE_FALSE(preference_source<std::vector<preference_pair>>);
  made_on_demand all{30}, source{30};
  std::vector<std::size_t> indices(30);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i;
  const std::vector<preference_pair> pairs = [&] {
    const auto loaded = all.load(indices);
    return std::vector<preference_pair>(loaded.begin(), loaded.end());
  }();
  const Eigen::VectorXd expected = trained_from(pairs, local);
  CHECK(expected.norm() > 0.1);
  CHECK(trained_from(source, local) == expected);
  CHECK(source.loads == 8);
  CHECK(source.largest == 8);
  made_on_demand nothing{0};
  CHECK_THROWS_AS(trained_from(nothing, local), argument_error);
}

TEST_CASE("preference_source: a resumed run fetches what is left") {
  struct stop_after_three {
    int seen = 0;
    void on_step_begin(std::uint64_t) { ++seen; }
    bool stop_requested() const { return seen == 3; }
  };
  made_on_demand source{30};
  const Eigen::VectorXd expected = trained_from(source, local);
  toy::linear_reward reward(3, letters);
  toy::adam optimizer({}, reward);
  reward_model_trainer first(reward, optimizer, options);
  first.fit(source, stop_after_three{});
  reward_model_trainer second(reward, optimizer, options);
  second.restore(first.save());
  CHECK(second.fit(source).size() == 5);
  CHECK(reward.weights == expected);
}

TEST_CASE("preference_source: each rank loads the pairs of its shares") {
  made_on_demand source{30};
  const Eigen::VectorXd expected = trained_from(source, local);
  Eigen::VectorXd two;
  std::size_t largest = 0;
  test::run_ranks(2, [&](auto& ranks) {
    made_on_demand mine{30};
    const Eigen::VectorXd weights = trained_from(mine, ranks);
    if (ranks.rank() != 0) return;
    two = weights;
    largest = mine.largest;
  });
  CHECK((two - expected).cwiseAbs().maxCoeff() < 1e-12);
  CHECK(largest == 4);
}
