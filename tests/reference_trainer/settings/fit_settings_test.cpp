#include "settings/fit_settings.hpp"

#include <coho/error.hpp>
#include <coho/train/reward_model.hpp>
#include <coho/train/supervised.hpp>

#include "support/catch.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"

using namespace coho::trainer;
using namespace coho::test;

namespace {

template <class Options>
fit_settings<Options> read(const settings& given, const fit_defaults& defaults) {
  return read_given(config(given), "s", fit_settings<Options>::of(defaults));
}

}  // namespace

TEST_CASE("fit settings: what a section leaves out is the stage's default") {
  const auto out = read<coho::supervised_options>({}, {.batch_size = 32, .learning_rate = 1e-4});
  CHECK(out.training.batch_size == 32);
  CHECK(out.training.epochs == 1);
  CHECK(out.training.gradient_norm_clip == 1.0);
  CHECK(out.training_options(70, 7).seed == 7);
  CHECK(out.training_options(70, 7).learning_rate.peak == 1e-4);
  CHECK(out.training_options(70, 1).learning_rate.warmup_steps == 0);
  CHECK(out.step_count(70) == 3);
  CHECK(out.checkpoints.save_every == 0);
  CHECK(out.checkpoints.keep == 1);
}

TEST_CASE("fit settings: the steps are those of all epochs, and a warm-up may be a share of them") {
  const auto out = read<coho::reward_model_options>({"s.epochs=4", "s.batch_size=10", "s.optimizer.moments=8bit",
                                                     "s.save_every=5", "s.keep=2", "s.gradient_norm_clip=0"},
                                                    {.batch_size = 64, .learning_rate = 3e-5, .warmup_steps = 0.1});
  CHECK(out.step_count(95) == 40);
  CHECK(out.training_options(95, 1).learning_rate.total_steps == 40);
  CHECK(out.training_options(95, 1).learning_rate.warmup_steps == 4);
  CHECK(out.training_options(95, 1).batch_size == 10);
  // Of another number of examples, from the same settings.
  CHECK(out.training_options(995, 1).learning_rate.total_steps == 400);
  CHECK(out.training_options(995, 1).learning_rate.warmup_steps == 40);
  CHECK(out.training.gradient_norm_clip == 0);
  CHECK(out.optimizer.moments == moment_type::eight_bit);
  CHECK(out.checkpoints.save_every == 5);
  CHECK(out.checkpoints.keep == 2);
}

TEST_CASE("fit settings: values out of range are refused with their key") {
  for (const char* wrong : {"s.batch_size=0", "s.epochs=0", "s.gradient_norm_clip=-1", "s.optimizer.moments=fp8"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(read<coho::supervised_options>({wrong}, {}), config_error);
  }
}

TEST_CASE("fit settings: a schedule of its own length, and a warm-up in steps, do not depend on the examples") {
  const auto out =
      read<coho::supervised_options>({"s.learning_rate.total_steps=200", "s.learning_rate.warmup_steps=30"}, {});
  for (const std::size_t examples : {1, 10000}) {
    CHECK(out.training_options(examples, 1).learning_rate.total_steps == 200);
    CHECK(out.training_options(examples, 1).learning_rate.warmup_steps == 30);
  }
  // A warm-up that is longer than the run ends with it a step later.
  const auto longer = read<coho::supervised_options>({"s.learning_rate.warmup_steps=30"}, {});
  CHECK(longer.training_options(32, 1).learning_rate.total_steps == 31);
}

TEST_CASE("fit settings: a number of checkpoints is refused where none is saved, by the key and its reason") {
  CHECK_THROWS_WITH(read<coho::supervised_options>({"s.keep=3"}, {}),
                    Catch::Matchers::ContainsSubstring("s.keep = 3 is not allowed: it must be left out while "
                                                       "save_every is 0"));
  CHECK(read<coho::supervised_options>({"s.keep=1"}, {}).checkpoints.keep == 1);  // as a resolved recipe says
  CHECK(read<coho::supervised_options>({"s.keep=3", "s.save_every=2"}, {}).checkpoints.keep == 3);
  CHECK_THROWS_AS(read<coho::supervised_options>({"s.keep=0", "s.save_every=2"}, {}), config_error);
  // What the command line switches off may stay in the recipe.
  const std::vector<std::string> off{"s.save_every=0"};
  const auto recipe = config::parse("[s]\nkeep = 3\nsave_every = 2\n", "r.toml", off);
  CHECK_NOTHROW(read_given(recipe, "s", fit_settings<coho::supervised_options>::of({})));
}
