#include "config/option_list.hpp"

#include <string>
#include <vector>

#include <coho/train/options/ppo_options.hpp>

#include "observe/format.hpp"
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
  CHECK(named(all, "ppo.adaptive_kl.target").defaults.front() == "off (6)");
  CHECK_THROWS(named(all, "ppo.seed"));
  CHECK_THROWS(named(all, "ppo.generation.temperature"));
}

TEST_CASE("option_list: values as a recipe spells them") {
  CHECK(toml_text(true) == "true");
  CHECK(toml_text(0.3) == "0.3");
  CHECK(toml_text(std::string("a b")) == "\"a b\"");
  CHECK(toml_text(std::vector<std::string>{"x", "y"}) == "[\"x\", \"y\"]");
  CHECK(toml_text(std::vector<std::string>{}) == "[]");
}

TEST_CASE("option_list: tables for a terminal and for a page") {
  const std::vector<listed_option> two{{"a.b", {"1", "2"}, "at least 0", "tokens", "what b is"},
                                       {"a.long_name", {"x"}, "", "", "what c is"}};
  CHECK(option_table(two) == "key          default  unit    allowed values\n" + std::string(100, '-') +
                                 "\n"
                                 "a.b          1 / 2    tokens  at least 0\n"
                                 "    what b is\n"
                                 "a.long_name  x\n"
                                 "    what c is\n");
  const std::vector<std::string> presets{"paper", "code"};
  CHECK(option_markdown(two, presets) ==
        "| key | paper | code | allowed | unit | meaning |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| `a.b` | 1 | 2 | at least 0 | tokens | what b is |\n"
        "| `a.long_name` | x | x |  |  | what c is |\n");
}

TEST_CASE("option_list: a table for a terminal keeps to 100 columns, and says that a group is off") {
  const auto all = of_ppo();
  const auto table = option_table(all);
  for (std::size_t from = 0; from < table.size();) {
    const auto line = table.substr(from, table.find('\n', from) - from);
    CAPTURE(line);
    CHECK(display_width(line) <= 100);
    CHECK((line.empty() || line.back() != ' '));
    from += line.size() + 1;
  }
  CHECK_THAT(table, ContainsSubstring("ppo.adaptive_kl.target ") && ContainsSubstring("off (6)") &&
                        ContainsSubstring("\"off (x)\": the group is off until one of its keys is given"));
  const std::vector<listed_option> wide{{.key = "a.b",
                                         .defaults = {std::string(40, 'x')},
                                         .allowed = {},
                                         .unit = {},
                                         .meaning = std::string(60, 'y') + " " + std::string(60, 'z')}};
  CHECK_THAT(option_table(wide), ContainsSubstring("a.b  see below\n    " + std::string(60, 'y') + "\n    " +
                                                   std::string(60, 'z') + "\n    default: " + std::string(40, 'x')));
}
