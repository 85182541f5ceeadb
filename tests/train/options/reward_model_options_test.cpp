#include <string>

#include <coho/error.hpp>
#include <coho/toy/linear_reward.hpp>
#include <coho/toy/sgd.hpp>
#include <coho/train/options/reward_model_options.hpp>
#include <coho/train/reward_model.hpp>

#include "support/catch.hpp"

using namespace coho;

namespace {

// The name and range that a trainer with these options refuses; empty where it is built.
std::string refusal(const reward_model_options& options) {
  toy::linear_reward model{1, [](const reward_query&) { return Eigen::VectorXd{{1.0}}; }};
  toy::sgd optimizer(model);
  try {
    reward_model_trainer trainer(model, optimizer, options);
  } catch (const option_error& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("reward model options: the defaults build a trainer of one pass over shuffled pairs") {
  const reward_model_options defaults;
  CHECK(refusal(defaults).empty());
  CHECK(defaults.batch_size == 64);
  CHECK(defaults.epochs == 1);
  CHECK(defaults.gradient_norm_clip == 1);
  CHECK(defaults.shuffle);
}

TEST_CASE("reward model options: a value out of range is refused by its name") {
  using Catch::Matchers::ContainsSubstring;
  CHECK_THAT(refusal({.batch_size = 0}), ContainsSubstring("batch_size"));
  CHECK_THAT(refusal({.epochs = 0}), ContainsSubstring("epochs"));
  CHECK_THAT(refusal({.gradient_norm_clip = -1}), ContainsSubstring("gradient_norm_clip"));
  CHECK_THAT(refusal({.learning_rate = {.peak = -1}}), ContainsSubstring("peak"));
  CHECK_THAT(refusal({.loss = {.label_smoothing = 2}}), ContainsSubstring("label_smoothing"));
}
