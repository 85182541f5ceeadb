#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <coho/train/direct_preference.hpp>
#include <coho/train/options/direct_preference_options.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

namespace {

using examples = std::vector<direct_preference_example>;

/// Remembers the prompts of each forward, which name the examples, and the learning rate of each step.
struct recording_policy {
  std::vector<std::vector<token>> forwards{};
  std::vector<double> rates{};
  std::vector<double> gradient{0.0, 0.0};

  struct output {
    std::vector<double> log_probs;
  };
  std::vector<double> log_probs(const token_batch& batch) { return std::vector<double>(batch.responses.total(), -1); }
  auto forward(const token_batch& batch) {
    forwards.emplace_back();
    for (std::size_t i = 0; i < batch.size() / 2; ++i) forwards.back().push_back(batch.prompts[i][0]);
    return std::pair(output{log_probs(batch)}, [this](const policy_gradient&) { gradient = {3, 4}; });
  }
  void zero_gradients() { gradient = {0, 0}; }
  std::vector<std::span<double>> gradients() { return {std::span(gradient)}; }
  void step(double rate) {
    rates.push_back(rate);
    steps.push_back(gradient);
  }
  std::vector<std::vector<double>> steps{};
};

examples numbered(token count) {
  examples out;
  for (token i = 0; i < count; ++i) out.push_back({.prompt = {i}, .chosen = {1}, .rejected = {2, 3}});
  return out;
}

recording_policy fitted(const direct_preference_options& options, token count) {
  recording_policy model;
  direct_preference_trainer trainer{model, no_reference, model, orpo_loss{}, options};
  trainer.fit(numbered(count));
  return model;
}

}  // namespace

TEST_CASE("unusable preference options are refused by name") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<std::string, std::function<void(direct_preference_options&)>>> mistakes{
      {"batch_size = 0", [](auto& o) { o.batch_size = 0; }},
      {"epochs = 0", [](auto& o) { o.epochs = 0; }},
      {"gradient_norm_clip = -1", [](auto& o) { o.gradient_norm_clip = -1; }},
      {"gradient_norm_clip = nan", [=](auto& o) { o.gradient_norm_clip = nan; }},
      {"gradient_norm_clip = inf", [=](auto& o) { o.gradient_norm_clip = infinity; }},
      {"learning_rate.total_steps = 0", [](auto& o) { o.learning_rate.kind = schedule_kind::linear; }},
      {"learning_rate.peak = -1", [](auto& o) { o.learning_rate.peak = -1; }},
  };
  recording_policy model;
  CHECK_NOTHROW((direct_preference_trainer{model, no_reference, model, orpo_loss{}, direct_preference_options{}}));
  for (const auto& [message, mistake] : mistakes) {
    direct_preference_options options;
    mistake(options);
    INFO(message);
    const auto construct = [&] { direct_preference_trainer{model, no_reference, model, orpo_loss{}, options}; };
    CHECK_THROWS_WITH(construct(), ContainsSubstring(message));
    CHECK_THROWS_AS(construct(), option_error);
  }
}

TEST_CASE("batch size, epochs and the order of preference examples") {
  const auto given = fitted({.batch_size = 3, .epochs = 2, .shuffle = false}, 5);
  CHECK(given.forwards == std::vector<std::vector<token>>{{0, 1, 2}, {3, 4}, {0, 1, 2}, {3, 4}});
  CHECK(fitted({}, 5).forwards.size() == 1);  // the default holds 64
  CHECK(fitted({}, 65).forwards.size() == 2);

  const auto shuffled = fitted({.batch_size = 40}, 40).forwards;
  CHECK(shuffled != fitted({.batch_size = 40, .shuffle = false}, 40).forwards);
  CHECK(shuffled == fitted({.batch_size = 40}, 40).forwards);
  CHECK(shuffled != fitted({.batch_size = 40, .seed = 1}, 40).forwards);
}

TEST_CASE("a micro-batch's limit of sequences counts preference examples, that of tokens both responses") {
  const std::vector<std::vector<token>> pairs{{0, 1}, {2, 3}, {4}};
  CHECK(fitted({.micro_batch = {.sequences = 2}, .shuffle = false}, 5).forwards == pairs);
  // An example has twice a prompt of one token, and responses of one and two.
  CHECK(fitted({.micro_batch = {.tokens = 10}, .shuffle = false}, 5).forwards == pairs);
  CHECK(fitted({.micro_batch = {.tokens = 9}, .shuffle = false}, 2).forwards ==
        std::vector<std::vector<token>>{{0}, {1}});
}

TEST_CASE("the learning rate of each preference step is its schedule's, and its gradient is clipped") {
  const auto model = fitted({.learning_rate = {.peak = 0.5, .kind = schedule_kind::linear, .total_steps = 4},
                             .batch_size = 1,
                             .gradient_norm_clip = 0.5},
                            4);
  const learning_rate_schedule rate({.peak = 0.5, .kind = schedule_kind::linear, .total_steps = 4});
  REQUIRE(model.rates.size() == 4);
  for (std::uint64_t step = 0; step < 4; ++step) CHECK(model.rates[step] == rate(step));
  CHECK(model.rates[3] < model.rates[0]);
  CHECK(model.steps[0][0] == Approx(0.3));  // of (3, 4), whose norm is 5
  CHECK(model.steps[0][1] == Approx(0.4));
  CHECK(fitted({.gradient_norm_clip = 0}, 1).steps[0] == std::vector<double>{3, 4});
  CHECK(fitted({}, 1).steps[0][0] == Approx(0.6));
  CHECK(fitted({}, 1).rates == std::vector<double>{5e-7});
}
