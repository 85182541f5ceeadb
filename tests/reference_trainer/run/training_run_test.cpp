#include "run/training_run.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>

#include "run/training_checkpoints.hpp"
#include "settings/optimizer_settings.hpp"
#include "support/catch.hpp"
#include "support/process_ranks.hpp"
#include "support/recipe_models.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

// A few parameters with an optimizer that has been stepped.
struct trained {
  at::Tensor tensor;
  parameter_set parameters;
  adamw optimizer;

  explicit trained(std::int64_t count, std::uint64_t seed = 1, moment_type moments = moment_type::float32)
      : tensor(random_tensor({count}, seed)),
        parameters({{"w", &tensor}}),
        optimizer(parameters, {.weight_decay = 0.1, .moments = moments}) {}
  void step(std::uint64_t seed) {
    const at::NoGradGuard no_gradient;
    parameters.gradients().copy_(random_tensor({parameters.count()}, seed));
    optimizer.step(0.1);
  }
};

}  // namespace

TEST_CASE("training_run: the learning rate of a section") {
  const auto read = [](const settings& given) {
    return read_given(config(given), "learning_rate", recipe_learning_rate{.peak = 0.25}).for_steps(200);
  };
  auto out = read({});
  CHECK(out.peak == 0.25);
  CHECK(out.kind == schedule_kind::cosine);
  CHECK(out.warmup_steps == 0);
  CHECK(out.total_steps == 200);
  out = read({"learning_rate.peak=2", "learning_rate.kind=linear", "learning_rate.warmup_steps=7",
              "learning_rate.floor_fraction=0.5"});
  CHECK(out.peak == 2);
  CHECK(out.kind == schedule_kind::linear);
  CHECK(out.warmup_steps == 7);
  CHECK(learning_rate_schedule(out)(1000) == Approx(1));
  // Below 1: a share of all steps.
  CHECK(read({"learning_rate.warmup_steps=0.1"}).warmup_steps == 20);
  CHECK(read({"learning_rate.warmup_steps=500"}).total_steps == 501);
  // A horizon of its own: the rate of a run that is stopped early is that of the long one.
  const learning_rate_schedule whole(read({"learning_rate.warmup_steps=5"}));
  const learning_rate_schedule early(read({"learning_rate.warmup_steps=5", "learning_rate.total_steps=547"}));
  CHECK(read({"learning_rate.total_steps=547"}).total_steps == 547);
  CHECK(read({"learning_rate.total_steps=1000", "learning_rate.warmup_steps=0.1"}).warmup_steps == 100);
  CHECK(whole(199) < 0.01 * 0.25);
  CHECK(early(199) > 0.65 * 0.25);
  CHECK(early(199) < 0.75 * 0.25);
  CHECK(early(10000) == 0);
  CHECK_THROWS_AS(read({"learning_rate.total_steps=-1"}), config_error);
  for (const std::string wrong : {"-1", "2.5", "1e300", "inf"})
    CHECK_THROWS_AS(read({"learning_rate.warmup_steps=" + wrong}), config_error);
  CHECK_THROWS_AS(read({"learning_rate.kind=cosin"}), config_error);
  CHECK_THROWS_AS(read({"learning_rate.peak=-1"}), config_error);
  CHECK_THROWS_AS(read({"learning_rate.floor_fraction=2"}), config_error);
}

TEST_CASE("training_run: the optimizer of a section") {
  const auto out =
      read_given<adamw_options>(config(settings{"optimizer.beta1=0.8", "optimizer.weight_decay=0.01"}), "optimizer");
  CHECK(out.beta1 == 0.8);
  CHECK(out.beta2 == 0.999);
  CHECK(out.weight_decay == 0.01);
  CHECK(out.moments == moment_type::float32);
  CHECK(read_given<adamw_options>(config(settings{"optimizer.moments=bfloat16"}), "optimizer").moments ==
        moment_type::bfloat16);
  CHECK(read_given<adamw_options>(config(settings{"optimizer.moments=8bit"}), "optimizer").moments ==
        moment_type::eight_bit);
  CHECK_THROWS_AS(read_given<adamw_options>(config(settings{"optimizer.moments=int8"}), "optimizer"), config_error);
  for (const std::string wrong :
       {"optimizer.beta1=1", "optimizer.beta2=-0.1", "optimizer.epsilon=0", "optimizer.weight_decay=-1"})
    CHECK_THROWS_AS(read_given<adamw_options>(config(settings{wrong}), "optimizer"), config_error);
}

TEST_CASE("training_run: a restored run steps on exactly as the saved one") {
  const auto form = GENERATE(moment_type::float32, moment_type::bfloat16, moment_type::eight_bit);
  const temporary_directory folder;
  trained a(5, 1, form), b(300, 2, form);
  training_checkpoints saved(folder / "checkpoints", 2, 1);
  saved.add("a", a.parameters, a.optimizer);
  saved.add("b", b.parameters, b.optimizer);
  for (std::uint64_t step = 1; step <= 4; ++step) {
    a.step(step);
    b.step(10 + step);
    saved.save_if_due(step, {{"step", step}, {"note", 0.1 * static_cast<double>(step)}});
  }

  trained c(5, 7, form), d(300, 8, form);
  training_checkpoints restored(folder / "checkpoints", 2, 1);
  restored.add("a", c.parameters, c.optimizer);
  restored.add("b", d.parameters, d.optimizer);
  const auto values = restored.restore();
  REQUIRE(values);
  CHECK(values->at("step") == 4);
  CHECK(values->at("note").get<double>() == 0.1 * 4.0);
  CHECK(c.optimizer.steps() == 4);
  for (std::uint64_t step = 5; step <= 7; ++step) {
    a.step(step);
    c.step(step);
    b.step(step);
    d.step(step);
  }
  CHECK(at::equal(a.parameters.values(), c.parameters.values()));
  CHECK(at::equal(b.parameters.values(), d.parameters.values()));
  CHECK(at::equal(b.optimizer.second_moment().values, d.optimizer.second_moment().values));

  restored.remove();
  CHECK_FALSE(std::filesystem::exists(folder / "checkpoints"));
  CHECK_FALSE(restored.restore());
}

TEST_CASE("training_run: saves come as often, and stay as many, as was asked for") {
  const temporary_directory folder;
  trained a(2);
  training_checkpoints never(folder / "never", 0, 2), every_third(folder / "some", 3, 2);
  for (auto* checkpoints : {&never, &every_third}) checkpoints->add("a", a.parameters, a.optimizer);
  for (std::uint64_t step = 1; step <= 12; ++step) {
    never.save_if_due(step, {});
    every_third.save_if_due(step, {});
  }
  CHECK_FALSE(std::filesystem::exists(folder / "never"));
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "some"))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  CHECK(names == std::vector<std::string>{"step-00000009", "step-00000012"});
}

TEST_CASE("training_run: a save of other parameters is refused") {
  const temporary_directory folder;
  trained a(4), longer(5);
  training_checkpoints saved(folder / "c", 1, 1);
  saved.add("a", a.parameters, a.optimizer);
  saved.save(1, {{"step", 1}});
  training_checkpoints sizes(folder / "c", 1, 1), names(folder / "c", 1, 1);
  sizes.add("a", longer.parameters, longer.optimizer);
  names.add("b", a.parameters, a.optimizer);
  CHECK_THROWS_AS(sizes.restore(), file_error);
  CHECK_THROWS_WITH(names.restore(), Catch::Matchers::ContainsSubstring("b.values"));
}

TEST_CASE("training_run: a save with moments of another form is refused and nothing is taken over") {
  const temporary_directory folder;
  trained a(4), b(4, 1, moment_type::eight_bit), untouched(4, 9);
  trained wrong(4, 9, moment_type::bfloat16), small(4, 9, moment_type::eight_bit);
  training_checkpoints saved(folder / "c", 1, 1), other(folder / "c", 1, 1);
  saved.add("a", a.parameters, a.optimizer);
  saved.add("b", b.parameters, b.optimizer);
  a.step(1), b.step(2);
  saved.save(1, {{"step", 1}});
  // The first part fits, the second does not.
  other.add("a", untouched.parameters, untouched.optimizer);
  other.add("b", wrong.parameters, wrong.optimizer);
  CHECK_THROWS_AS(other.restore(), file_error);
  CHECK_THROWS_WITH(other.restore(), Catch::Matchers::ContainsSubstring("b.first_moment") &&
                                         Catch::Matchers::ContainsSubstring("8-bit") &&
                                         Catch::Matchers::ContainsSubstring("bfloat16") &&
                                         Catch::Matchers::ContainsSubstring("moments"));
  CHECK(at::equal(untouched.parameters.values(), random_tensor({4}, 9)));
  CHECK(untouched.optimizer.steps() == 0);
  training_checkpoints third(folder / "c", 1, 1);
  third.add("a", small.parameters, small.optimizer);
  CHECK_THROWS_WITH(third.restore(), Catch::Matchers::ContainsSubstring("holds float32 numbers"));
}

TEST_CASE("training_run: weights that are not finite, or not those of the first rank, are not saved") {
  const temporary_directory folder;
  const auto refusal = [&](process_group& group, const std::vector<double>& weights) {
    trained a(4), b(4);
    const at::NoGradGuard no_gradient;
    b.parameters.values().copy_(at::tensor(weights));
    training_checkpoints checkpoints(folder / "checkpoints", 1, 1, {std::shared_ptr<void>(), &group});
    checkpoints.add("a", a.parameters, a.optimizer);
    checkpoints.add("b", b.parameters, b.optimizer);
    try {
      checkpoints.save(3, {});
    } catch (const error& failure) {
      return std::string(failure.what());
    }
    return std::string();
  };
  std::vector<std::string> refusals(3);
  on_ranks(3, [&](process_group& group) {
    refusals[group.rank()] = refusal(group, {1, 2, 3, group.rank() == 1 ? 5.0 : 4.0});
  });
  for (const auto& one : refusals)
    CHECK_THAT(one, Catch::Matchers::StartsWith("step 3: rank 1 has other weights than rank 0"));
  process_group alone;
  CHECK_THAT(refusal(alone, {1, std::nan(""), 3, 4}),
             Catch::Matchers::StartsWith("step 3: the weights of b are not finite"));
  CHECK_FALSE(std::filesystem::exists(folder / "checkpoints"));
}
