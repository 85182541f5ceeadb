#include "config/renamed_keys.hpp"

#include <string>

#include "config/config.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("renamed_keys: keys of former versions in the sections that had them") {
  CHECK(renamed_key("ppo.kl_coefficient") == "ppo.shaping.kl_coefficient");
  CHECK(renamed_key("ppo.value_clip") == "ppo.value_clip.clip");
  CHECK(renamed_key("sft.learning_rate") == "sft.learning_rate.peak");
  CHECK(renamed_key("preference_pretraining.micro_batch_pairs") == "preference_pretraining.micro_batch.sequences");
  CHECK(renamed_key("sft.kl_coefficient").empty());  // it never had one
  CHECK(renamed_key("ppo.epochs").empty());
  CHECK(renamed_key("ppo.learning_rate.peak").empty());
  CHECK(renamed_key("ppo").empty());
}

TEST_CASE("renamed_keys: a recipe with an old key is told the new one and its place") {
  const auto problem = [](const char* toml) {
    const auto recipe = config::parse(toml, "r.toml");
    try {
      static_cast<void>(recipe.get<double>("ppo.value_clip.clip", 0.2));
      static_cast<void>(recipe.get<double>("ppo.epochs", 1));
      recipe.check_unknown();
    } catch (const config_error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(problem("[ppo]\nepochs = 2\nvalue_clip = 0.1\n") == "r.toml:3: ppo.value_clip is now ppo.value_clip.clip");
  CHECK(problem("[ppo]\nkl_coefficient = 0.1\n") == "r.toml:2: ppo.kl_coefficient is now ppo.shaping.kl_coefficient");
  CHECK(problem("[ppo]\nvalue_clip.clip = 0.1\n").empty());
}
