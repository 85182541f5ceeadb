#include <limits>
#include <string>
#include <vector>

#include <coho/train/options/direct_preference_options.hpp>
#include <coho/train/options/fit_options.hpp>
#include <coho/train/options/reward_model_options.hpp>
#include <coho/train/supervised.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

TEMPLATE_TEST_CASE("options of passes over data out of their range are named", "", supervised_options,
                   reward_model_options, direct_preference_options) {
  const auto refuse = [](const TestType& options, const char* message) {
    CHECK_THROWS_WITH(validate(options), ContainsSubstring(message));
    CHECK_THROWS_AS(validate(options), option_error);
  };
  TestType usable;
  usable.batch_size = usable.epochs = 1;
  usable.gradient_norm_clip = 0;
  CHECK_NOTHROW(validate(usable));
  const auto with = [&](auto change) {
    TestType options = usable;
    change(options);
    return options;
  };
  refuse(with([](auto& o) { o.batch_size = 0; }), "batch_size = 0");
  refuse(with([](auto& o) { o.epochs = 0; }), "epochs = 0");
  refuse(with([](auto& o) { o.gradient_norm_clip = -0.5; }), "gradient_norm_clip = -0.5");
  refuse(with([](auto& o) { o.gradient_norm_clip = std::numeric_limits<double>::infinity(); }),
         "gradient_norm_clip = inf");
  refuse(with([](auto& o) { o.gradient_norm_clip = std::numeric_limits<double>::quiet_NaN(); }),
         "gradient_norm_clip = nan");
  refuse(with([](auto& o) { o.learning_rate.peak = -1; }), "learning_rate.peak = -1");
}

TEST_CASE("the description of a driver over data holds every member") {
  std::vector<std::string> names;
  const reward_model_options options;
  const auto note = [&](const option& about, const auto&) { names.emplace_back(about.name); };
  reward_model_options::describe(note, options);
  CHECK(names == std::vector<std::string>{"learning_rate", "batch_size", "micro_batch", "epochs", "gradient_norm_clip",
                                          "shuffle", "seed", "loss"});
}
