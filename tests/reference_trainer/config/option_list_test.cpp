#include "config/option_list.hpp"

#include <string>
#include <vector>

#include <coho/train/options/ppo_options.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<listed_option> of_ppo() {
  std::vector<listed_option> out;
  list_options(out, "ppo.", {"seed", "generation"}, coho::ppo_options::paper(), coho::ppo_options::salmon_code());
  return out;
}

const listed_option& named(const std::vector<listed_option>& all, const std::string& key) {
  for (const auto& option : all)
    if (option.key == key) return option;
  throw coho::error(key + " is not listed");
}

}  // namespace

TEST_CASE("option_list: keys, the defaults of each preset, ranges and units") {
  const auto all = of_ppo();
  const auto& beta = named(all, "ppo.shaping.kl_coefficient");
  CHECK(beta.defaults == std::vector<std::string>{"0.02", "0.01"});
  CHECK(beta.allowed == "at least 0");
  CHECK(named(all, "ppo.policy_clip.dual_clip").allowed == "0 (off) or greater than 1 (infinity: off)");
  CHECK(named(all, "ppo.epochs").allowed == "at least 1");
  CHECK(named(all, "ppo.shaping.estimator").defaults == std::vector<std::string>{"k1", "k1_clamped"});
  CHECK_THAT(named(all, "ppo.shaping.estimator").allowed, ContainsSubstring("k1, k2, k3"));
  CHECK(named(all, "ppo.adaptive_kl.target").unit == "nats");  // of a group that may be left out
  CHECK(named(all, "ppo.padded_layout").defaults == std::vector<std::string>{"false", "true"});
  CHECK_THROWS(named(all, "ppo.seed"));
  CHECK_THROWS(named(all, "ppo.generation.temperature"));
}

TEST_CASE("option_list: values as a recipe spells them") {
  CHECK(spelled(true) == "true");
  CHECK(spelled(0.3) == "0.3");
  CHECK(spelled(std::string("a b")) == "\"a b\"");
  CHECK(spelled(std::vector<std::string>{"x", "y"}) == "[\"x\", \"y\"]");
  CHECK(spelled(std::vector<std::string>{}) == "[]");
}

TEST_CASE("option_list: tables for a terminal and for a page") {
  const std::vector<listed_option> two{{"a.b", {"1", "2"}, "at least 0", "tokens", "what b is"},
                                       {"a.long_name", {"x"}, "", "", "what c is"}};
  CHECK(option_table(two) ==
        "a.b          1 / 2 tokens  at least 0  what b is\n"
        "a.long_name  x                         what c is\n");
  const std::vector<std::string> presets{"paper", "code"};
  CHECK(option_markdown(two, presets) ==
        "| key | paper | code | allowed | unit | meaning |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| `a.b` | 1 | 2 | at least 0 | tokens | what b is |\n"
        "| `a.long_name` | x | x |  |  | what c is |\n");
}
