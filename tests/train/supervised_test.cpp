#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <coho/toy/adam.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/train/supervised.hpp>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace coho;

namespace {
const toy::tabular_policy_options language{.vocabulary = 4, .order = 2, .end = 0};

std::vector<supervised_example> some_examples() {
  return {{.prompt = {1}, .response = {2, 3, 0}},
          {.prompt = {1}, .response = {2, 0}},
          {.prompt = {3}, .response = {0}},
          {.prompt = {1}, .response = {3, 3, 2, 0}},
          {.prompt = {2, 2}, .response = {1, 0}}};
}

Eigen::MatrixXd trained(const supervised_options& options, std::span<const supervised_example> data) {
  toy::tabular_policy policy(language);
  toy::adam optimizer({}, policy);
  supervised_trainer(policy, optimizer, options).fit(data);
  return policy.logits;
}

double difference(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) { return (a - b).cwiseAbs().maxCoeff(); }
}  // namespace

TEST_CASE("supervised training recovers empirical frequencies") {
  // After prompt 1: token 2 five times of eight, 3 twice, 0 once; after 2 always the end.
  std::vector<supervised_example> data;
  for (int i = 0; i < 5; ++i) data.push_back({.prompt = {1}, .response = {2, 0}});
  for (int i = 0; i < 2; ++i) data.push_back({.prompt = {1}, .response = {3, 0}});
  data.push_back({.prompt = {1}, .response = {0}});
  toy::tabular_policy policy({.vocabulary = 4, .order = 1, .end = 0});
  toy::adam optimizer({}, policy);
  supervised_trainer trainer(policy, optimizer,
                             {.learning_rate = {.peak = 0.1, .kind = schedule_kind::cosine, .total_steps = 600},
                              .batch_size = 8,
                              .epochs = 600,
                              .gradient_norm_clip = 0});
  const auto history = trainer.fit(data);
  const std::vector<token> prompt{1};
  const Eigen::ArrayXd p = policy.probabilities(policy.contexts().context_after(prompt));
  CHECK(p(2) == Approx(5.0 / 8).margin(1e-3));
  CHECK(p(3) == Approx(2.0 / 8).margin(1e-3));
  CHECK(p(0) == Approx(1.0 / 8).margin(1e-3));
  CHECK(history.front().loss == Approx(std::log(4.0)));  // uniform
  // The entropy of the data: 8 first tokens, 7 certain second ones.
  const double least = -(5 * std::log(5.0 / 8) + 2 * std::log(2.0 / 8) + std::log(1.0 / 8)) / 15;
  CHECK(history.back().loss == Approx(least).margin(2e-3));
  CHECK(trainer.evaluate(data) == Approx(history.back().loss).margin(1e-3));
}

TEST_CASE("micro-batches do not change a supervised step") {
  const auto data = some_examples();
  const supervised_options whole{.learning_rate = {.peak = 0.1}, .batch_size = 5, .epochs = 4};
  for (const batch_limits limits :
       {batch_limits{.sequences = 1}, batch_limits{.sequences = 2}, batch_limits{.tokens = 6}}) {
    auto parts = whole;
    parts.micro_batch = limits;
    CHECK(difference(trained(whole, data), trained(parts, data)) < 1e-12);
  }
}

TEST_CASE("accumulation weighs tokens alike, not micro-batches") {
  // Micro-batches of three tokens and of one. At the uniform policy the gradient of the shared first context is
  // hand-made.
  const std::vector<supervised_example> data{{.prompt = {1}, .response = {2, 2, 2}}, {.prompt = {1}, .response = {3}}};
  toy::tabular_policy policy({.vocabulary = 4, .order = 3, .end = 0});
  toy::sgd optimizer(policy);
  supervised_trainer trainer(policy, optimizer,
                             {.learning_rate = {.peak = 0}, .micro_batch = {.sequences = 1}, .gradient_norm_clip = 0});
  const auto s = trainer.step(data);
  CHECK(s.loss == Approx(std::log(4.0)));
  CHECK(s.weight == 4);
  const std::vector<token> prompt{1};
  const auto context = static_cast<Eigen::Index>(policy.contexts().context_after(prompt));
  // Two of the four tokens are read there, 2 and 3: d/dz = (count · p − occurrences) / 4.
  CHECK(policy.gradient(2, context) == Approx((2 * 0.25 - 1) / 4));
  CHECK(policy.gradient(3, context) == Approx((2 * 0.25 - 1) / 4));
  CHECK(policy.gradient(1, context) == Approx(2 * 0.25 / 4));
}

TEST_CASE("token weights: weight 0 hides a token, weight 2 counts it twice") {
  const supervised_options options{.learning_rate = {.peak = 0.1}, .batch_size = 8, .epochs = 3, .shuffle = false};
  const std::vector<supervised_example> twice{
      {.prompt = {1}, .response = {2}}, {.prompt = {1}, .response = {2}}, {.prompt = {1}, .response = {3}}};
  const std::vector<supervised_example> weighted{{.prompt = {1}, .response = {2, 1}, .token_weights = {2, 0}},
                                                 {.prompt = {1}, .response = {3}}};
  CHECK(difference(trained(options, twice), trained(options, weighted)) < 1e-12);

  toy::tabular_policy policy(language);
  toy::sgd optimizer(policy);
  supervised_trainer trainer(policy, optimizer, options);
  const auto step = [&](std::vector<double> weights) {
    const std::vector<supervised_example> one{{.prompt = {1}, .response = {2, 1}, .token_weights = std::move(weights)}};
    trainer.step(one);
  };
  CHECK_THROWS_AS(step({1}), argument_error);
  CHECK_THROWS_AS(step({1, -1}), argument_error);
  CHECK_THROWS_AS(step({0, 0}), argument_error);
  CHECK(trainer.save().step == 0);
}

TEST_CASE("mistake 11: a resumed run equals an uninterrupted one, data order included") {
  const auto data = some_examples();
  const supervised_options options{
      .learning_rate = {.peak = 0.1, .kind = schedule_kind::linear, .warmup_steps = 2, .total_steps = 12},
      .batch_size = 2,
      .epochs = 4,
      .seed = 9};
  struct stop_after {
    std::uint64_t steps;
    std::uint64_t seen = 0;
    void on_step_end(const supervised_statistics&) { ++seen; }
    bool stop_requested() const { return seen == steps; }
  };
  toy::tabular_policy policy(language);
  toy::adam optimizer({}, policy);
  supervised_trainer first(policy, optimizer, options);
  stop_after callback{.steps = 5};
  CHECK(first.fit(data, callback).size() == 5);

  toy::tabular_policy again(language);
  again.logits = policy.logits;
  toy::adam other({}, again);
  other.restore(optimizer.save());
  supervised_trainer second(again, other, options);
  second.restore(first.save());
  const auto rest = second.fit(data);
  CHECK(rest.size() == 7);
  CHECK(rest.front().step == 5);
  CHECK(rest.front().epoch == 1);
  CHECK(again.logits == trained(options, data));
}

TEST_CASE("supervised callbacks see the epoch") {
  std::vector<std::uint64_t> seen;
  struct {
    std::vector<std::uint64_t>& seen;
    void on_step_end(const supervised_statistics& s) { seen.push_back(s.epoch); }
  } callback{seen};
  toy::tabular_policy policy(language);
  toy::sgd optimizer(policy);
  supervised_trainer trainer(policy, optimizer, {.batch_size = 2, .epochs = 3});
  const auto history = trainer.fit(some_examples(), callback);
  CHECK(seen == std::vector<std::uint64_t>{0, 0, 0, 1, 1, 1, 2, 2, 2});
  REQUIRE(history.size() == seen.size());
  for (std::size_t i = 0; i < seen.size(); ++i) CHECK(history[i].epoch == seen[i]);
}

TEST_CASE("the number of ranks does not change supervised training") {
  const auto data = some_examples();
  const supervised_options options{
      .learning_rate = {.peak = 0.1}, .batch_size = 3, .epochs = 2, .gradient_norm_clip = 0.1};
  Eigen::MatrixXd two;
  test::run_ranks(2, [&](auto& ranks) {
    toy::tabular_policy policy(language);
    toy::adam optimizer({}, policy);
    supervised_trainer trainer(policy, optimizer, options, ranks);
    trainer.fit(data);
    const double loss = trainer.evaluate(std::span(data).subspan(ranks.rank() * 2, ranks.rank() == 0 ? 2 : 3));
    if (!std::isfinite(loss)) throw error("no loss");
    if (ranks.rank() == 0) two = policy.logits;
  });
  CHECK(difference(two, trained(options, data)) < 1e-12);
}

TEST_CASE("a gradient that is not finite stops the run before the step") {
  toy::tabular_policy policy(language);
  struct broken : toy::tabular_policy {
    explicit broken(const toy::tabular_policy_options& options) : toy::tabular_policy(options) {}
    auto gradients() {
      gradient(0, 0) = std::numeric_limits<double>::quiet_NaN();
      return toy::tabular_policy::gradients();
    }
  } model(language);
  toy::sgd optimizer(policy);
  supervised_trainer trainer(model, optimizer);
  CHECK_THROWS_WITH(trainer.step(some_examples()), Catch::Matchers::ContainsSubstring("not finite"));
  CHECK(trainer.save().step == 0);
  CHECK_THROWS_AS(supervised_trainer(model, optimizer, {.batch_size = 0}), option_error);
  CHECK_THROWS_AS(supervised_trainer(model, optimizer, {.epochs = 0}), option_error);
  CHECK_THROWS_AS(supervised_trainer(model, optimizer, {.gradient_norm_clip = -1}), option_error);
}

TEST_CASE("mistake 11: a supervised run does not go on with another seed or batch size") {
  toy::tabular_policy policy{{.vocabulary = 3}};
  toy::sgd optimizer{policy};
  const supervised_trainer begun{policy, optimizer, {.batch_size = 4, .seed = 1}};
  supervised_trainer other_seed{policy, optimizer, {.batch_size = 4, .seed = 2}};
  CHECK_THROWS_WITH(other_seed.restore(begun.save()), "seed = 2 is not allowed: it must be 1, as in the saved run");
  supervised_trainer other_size{policy, optimizer, {.batch_size = 8, .seed = 1}};
  CHECK_THROWS_WITH(other_size.restore(begun.save()),
                    "batch_size = 8 is not allowed: it must be 4, as in the saved run");
}
