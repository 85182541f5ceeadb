#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <coho/rng.hpp>
#include <coho/toy/adam.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/train/direct_preference.hpp>
#include <coho/train/example_source.hpp>
#include <coho/train/reward_model.hpp>
#include <coho/train/supervised.hpp>

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

TEST_CASE("example_source: a model learns from it as from the same pairs in memory") {
  STATIC_REQUIRE(example_source<made_on_demand, preference_pair>);
  STATIC_REQUIRE_FALSE(example_source<made_on_demand, supervised_example>);
  STATIC_REQUIRE_FALSE(example_source<std::vector<preference_pair>, preference_pair>);
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

TEST_CASE("example_source: a resumed run fetches what is left") {
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

TEST_CASE("example_source: each rank loads the pairs of its shards") {
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

namespace {

/// Examples in memory that are handed over batch by batch, and how many of them at most.
template <class Example>
struct loaded_by_batch {
  std::vector<Example> all;
  std::vector<Example> batch{};
  std::size_t largest = 0;
  std::size_t size() const { return all.size(); }
  const std::vector<Example>& load(std::span<const std::size_t> indices) {
    batch.clear();
    for (const std::size_t i : indices) batch.push_back(all[i]);
    largest = std::max(largest, batch.size());
    return batch;
  }
};

std::vector<token> drawn_response(std::uint64_t key) {
  rng random(8, key);
  std::vector<token> out(1 + random.index(4));
  for (token& t : out) t = static_cast<token>(1 + random.index(2));
  out.push_back(0);
  return out;
}

/// The logits of a policy that `train(policy, optimizer, ranks)` trained on `count` ranks, on the first.
template <class Train>
Eigen::MatrixXd trained_logits(std::size_t count, Train train) {
  Eigen::MatrixXd out;
  test::run_ranks(count, [&](auto& ranks) {
    toy::tabular_policy policy({.vocabulary = 3});
    toy::sgd optimizer(policy);
    train(policy, optimizer, ranks);
    if (ranks.rank() == 0) out = policy.logits;
  });
  return out;
}

double largest_entry(const Eigen::MatrixXd& difference) { return difference.cwiseAbs().maxCoeff(); }

}  // namespace

TEST_CASE("example_source: supervised fitting from it is that from memory, with only a rank's shards loaded") {
  std::vector<supervised_example> examples;
  for (std::uint64_t i = 0; i < 13; ++i) examples.push_back({.prompt = {1}, .response = drawn_response(i)});
  const supervised_options o{.learning_rate = {.peak = 0.5}, .batch_size = 4, .epochs = 3, .seed = 2};
  const auto from_memory = [&](auto& policy, auto& optimizer, auto& ranks) {
    supervised_trainer(policy, optimizer, o, ranks).fit(examples);
  };
  const auto from_source = [&](auto& policy, auto& optimizer, auto& ranks) {
    loaded_by_batch<supervised_example> source{examples};
    supervised_trainer(policy, optimizer, o, ranks).fit(source);
    if (source.largest != (ranks.size() == 1 ? 4U : 2U)) throw error("a rank loaded more than its share");
  };
  const auto expected = trained_logits(1, from_memory);
  CHECK(expected.norm() > 0.1);
  CHECK(trained_logits(1, from_source) == expected);
  CHECK(largest_entry(trained_logits(2, from_source) - expected) < 1e-12);
}

TEMPLATE_TEST_CASE("example_source: preferences from it are those from memory", "", dpo_loss, kto_loss) {
  std::vector<direct_preference_example> examples;
  for (std::uint64_t i = 0; i < 13; ++i)
    examples.push_back({{static_cast<token>(1 + i % 2)}, drawn_response(2 * i), drawn_response(2 * i + 1)});
  const direct_preference_options o{.learning_rate = {.peak = 0.5}, .batch_size = 4, .epochs = 3, .seed = 2};
  const toy::tabular_policy initial({.vocabulary = 3});
  const auto from_memory = [&](auto& policy, auto& optimizer, auto& ranks) {
    direct_preference_trainer(policy, initial, optimizer, TestType(), o, ranks).fit(examples);
  };
  const auto from_source = [&](auto& policy, auto& optimizer, auto& ranks) {
    loaded_by_batch<direct_preference_example> source{examples};
    direct_preference_trainer(policy, initial, optimizer, TestType(), o, ranks).fit(source);
    // The baseline of KTO needs the responses to other prompts.
    const bool whole = ranks.size() == 1 || std::is_same_v<TestType, kto_loss>;
    if (source.largest != (whole ? 4U : 2U)) throw error("a rank loaded more than its part");
  };
  const auto expected = trained_logits(1, from_memory);
  CHECK(expected.norm() > 1e-3);
  CHECK(trained_logits(1, from_source) == expected);
  // Examples in memory are assigned to shards by their lengths, others before they are loaded.
  CHECK(largest_entry(trained_logits(2, from_memory) - expected) < 1e-12);
  CHECK(largest_entry(trained_logits(2, from_source) - expected) < 1e-12);
}
