#include "config/config.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <coho/error.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::trainer::config;
using coho::trainer::config_error;

namespace {

config recipe(std::vector<std::string> overrides = {}) {
  return config::parse(
      "seed = 3\n[ppo]\nkl_coefficient = 0.02\nsteps = 100\nwhiten = true\nnames = ['a', 'b']\n[sft]\nrate = 1e-4\n",
      "recipe.toml", overrides);
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const config_error& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("config reads typed values and falls back on defaults") {
  const auto c = recipe();
  CHECK(c.get<double>("ppo.kl_coefficient", 1) == 0.02);
  CHECK(c.get<int>("ppo.steps", 0) == 100);
  CHECK(c.get<double>("ppo.steps", 0) == 100.0);
  CHECK(c.get<bool>("ppo.whiten", false));
  CHECK(c.get<std::vector<std::string>>("ppo.names", {}) == std::vector<std::string>{"a", "b"});
  CHECK(c.get<double>("ppo.gamma", 0.99) == 0.99);
  CHECK(c.get("ppo.note", "none") == "none");
  CHECK_FALSE(c.find<double>("ppo.absent").has_value());
  CHECK(c.section("ppo").get<int>("steps", 0) == 100);
  CHECK(c.has("ppo.steps"));
  CHECK_FALSE(c.has("ppo.step"));
  CHECK(c.keys("ppo") == std::vector<std::string>{"kl_coefficient", "steps", "whiten", "names"});
}

TEST_CASE("overrides win, take TOML or bare text, and may be read as either") {
  const auto c = recipe({"ppo.steps=7", "ppo.kl_coefficient=1e-3", "model.path=out/7b", "model.name=7", "ppo.names=x",
                         "new.list=[1, 2.5]"});
  CHECK(c.get<int>("ppo.steps", 0) == 7);
  CHECK(c.get<double>("ppo.kl_coefficient", 0) == 1e-3);
  CHECK(c.get<std::filesystem::path>("model.path", {}) == "out/7b");
  CHECK(c.get<std::string>("model.name", std::string()) == "7");
  CHECK(c.get<std::vector<std::string>>("ppo.names", {}) == std::vector<std::string>{"x"});
  CHECK(c.get<std::vector<double>>("new.list", {}) == std::vector<double>{1, 2.5});
  CHECK(recipe({"ppo.steps=1e6"}).get<std::size_t>("ppo.steps", 0) == 1000000);
  CHECK_THROWS_AS(recipe({"ppo.steps"}), config_error);
  CHECK_THROWS_AS(recipe({"=3"}), config_error);
  CHECK_THROWS_AS(recipe({"ppo.steps.deep=3"}), config_error);
}

TEST_CASE("a value of the wrong type is refused with file, line and what was expected") {
  const auto c = recipe({"ppo.gamma=high"});
  CHECK(message_of([&] { c.get<double>("ppo.whiten", 0); }) ==
        "recipe.toml:5: ppo.whiten is true or false (true), expected a number");
  CHECK_THAT(message_of([&] { c.get<double>("ppo.gamma", 0); }),
             ContainsSubstring("--set ppo.gamma=high: ppo.gamma = 'high', expected"));
  CHECK_THROWS_AS(recipe({"ppo.steps=-1"}).get<std::size_t>("ppo.steps", 0), config_error);
  CHECK_THROWS_AS(recipe({"ppo.steps=1.5"}).get<int>("ppo.steps", 0), config_error);
  CHECK_THROWS_AS(recipe({"ppo.steps=5000000000"}).get<int>("ppo.steps", 0), config_error);
  CHECK_THAT(message_of([&] { c.require<std::string>("model.path", "the policy"); }),
             ContainsSubstring("model.path is not given (the policy)"));
}

TEST_CASE("unknown keys are errors with the nearest known key") {
  const auto read = [](const config& c) {
    c.get<double>("ppo.kl_coefficient", 0), c.get<int>("ppo.steps", 0), c.get<bool>("ppo.whiten", false);
    c.declare({"ppo.names", "seed"});
    const std::vector<std::string> others{"sft"};
    c.allow_sections(others);
  };
  const auto clean = recipe();
  read(clean);
  CHECK_NOTHROW(clean.check_unknown());

  const auto typo = config::parse("[ppo]\n\nkl_coeficient = 1\n", "r.toml");
  read(typo);
  CHECK(message_of([&] { typo.check_unknown(); }) ==
        "r.toml:3: unknown key ppo.kl_coeficient; did you mean ppo.kl_coefficient?");

  const auto section = recipe({"pppo.steps=3"});
  read(section);
  CHECK(message_of([&] { section.check_unknown(); }) ==
        "--set pppo.steps=3: unknown key pppo.steps; did you mean ppo.steps?");

  const auto misplaced = recipe({"steps=3"});
  read(misplaced);
  CHECK_THAT(message_of([&] { misplaced.check_unknown(); }), ContainsSubstring("did you mean ppo.steps?"));

  const auto strange = recipe({"zebra.stripes=3"});
  read(strange);
  CHECK(message_of([&] { strange.check_unknown(); }) ==
        "--set zebra.stripes=3: unknown key zebra.stripes; coho options lists the known ones");
}

TEST_CASE("range checks and choices say where the value came from") {
  const auto c = recipe({"ppo.estimator=k4"});
  const auto steps = c.get<int>("ppo.steps", 1);
  CHECK(message_of([&] { c.check(steps > 1000, "ppo.steps", "above 1000"); }) ==
        "recipe.toml:4: ppo.steps = 100 is not allowed: it must be above 1000");
  CHECK_THAT(message_of([&] {
               c.choice("ppo.estimator", "k1", {"k1", "k2", "k3"});
             }),
             ContainsSubstring("one of k1, k2, k3; did you mean k1?"));
  CHECK(c.choice("ppo.mode", "add", {"add", "replace"}) == "add");
}

TEST_CASE("the resolved config reads back to the same values") {
  const auto c = recipe({"ppo.steps=9", "model.path=a b\"c"});
  c.get<int>("ppo.steps", 0), c.get<double>("ppo.rate", 0.1), c.get<double>("ppo.tiny", 2e-5),
      c.get<double>("ppo.whole", 1.0);
  c.get<std::string>("model.path", std::string()), c.get<std::uint64_t>("seed", 1);
  c.get<std::vector<std::string>>("ppo.names", {});
  const auto again = config::parse(c.resolved(), "resolved.toml");
  CHECK(again.get<int>("ppo.steps", 0) == 9);
  CHECK(again.get<double>("ppo.rate", 0) == 0.1);
  CHECK(again.get<double>("ppo.tiny", 0) == 2e-5);
  CHECK(again.get<double>("ppo.whole", 0) == 1.0);
  CHECK(again.get<std::string>("model.path", std::string()) == "a b\"c");
  CHECK(again.get<std::uint64_t>("seed", 0) == 3);
  CHECK_NOTHROW(again.declare({"ppo.names"}));
  CHECK_NOTHROW(again.check_unknown());
  CHECK(again.resolved().find("kl_coefficient") == std::string::npos);
}

TEST_CASE("a file that is not TOML is refused at its line; a missing one by name") {
  CHECK_THAT(message_of([] { config::parse("[ppo]\nsteps = = 3\n", "bad.toml"); }),
             ContainsSubstring("bad.toml:2: is not TOML"));
  CHECK_THROWS_AS(config::load("/nonexistent/recipe.toml"), coho::file_error);
}

TEST_CASE("options: a clone has overrides of its own and has read nothing") {
  const auto first = config::parse("[ppo]\ngamma = 0.5\nbogus = 1\n", "r.toml", std::vector<std::string>{"seed=3"});
  CHECK(first.get<double>("ppo.gamma", 1) == 0.5);
  auto copy = first.clone();
  copy.set("ppo.gamma=0.25");
  CHECK(copy.get<double>("ppo.gamma", 1) == 0.25);
  CHECK(copy.get<int>("seed", 0) == 3);
  CHECK(first.get<double>("ppo.gamma", 1) == 0.5);
  CHECK_THROWS_AS(copy.check_unknown(), config_error);
}

TEST_CASE("a config knows which keys were read, and which of them as paths") {
  const config options = recipe({"file=\"a.txt\""});
  options.get<int>("ppo.steps", 0);
  CHECK(options.get<std::filesystem::path>("file", {}) == "a.txt");
  CHECK(options.get<std::filesystem::path>("other", {}).empty());
  CHECK(options.read_keys() == std::vector<std::string>{"file", "other", "ppo.steps"});
  REQUIRE(options.read_paths().size() == 1);
  CHECK(options.read_paths()[0].first == "file");
  CHECK(options.read_paths()[0].second == "a.txt");
  CHECK(options.clone().read_keys().empty());

  using paths = std::vector<std::filesystem::path>;
  const config lists = recipe({"data=['b.txt','a.txt']", "one=7"});
  for (int again = 0; again < 2; ++again) CHECK(lists.get<paths>("data", {}) == paths{"b.txt", "a.txt"});
  CHECK(lists.get<paths>("one", {}) == paths{"7"});
  CHECK(lists.get<paths>("none", {"x"}) == paths{"x"});
  REQUIRE(lists.read_paths().size() == 3);
  CHECK(lists.read_paths()[1].second == "a.txt");
  CHECK(config::parse(lists.resolved(), "again").get<paths>("data", {}) == paths{"b.txt", "a.txt"});
}

TEST_CASE("a key may name one file or a list of them") {
  using files = std::vector<std::filesystem::path>;
  const config one = recipe({"files=a.txt"}), two = recipe({"files=[\"a.txt\", \"b.txt\"]"});
  CHECK(one.require_paths("files") == files{"a.txt"});
  CHECK(two.require_paths("files") == files{"a.txt", "b.txt"});
  CHECK(one.read_paths().at(0) == std::pair<std::string, std::filesystem::path>{"files", "a.txt"});
  CHECK(two.read_paths().at(1) == std::pair<std::string, std::filesystem::path>{"files", "b.txt"});
  CHECK_THROWS_AS(one.require_paths("other"), config_error);
  CHECK_THROWS_AS(recipe({"files=[]"}).require_paths("files"), config_error);
}

TEST_CASE("options: a list of sections is read by the names of its entries, in the order of the file") {
  const std::string text =
      "[set]\nsize = 3\n[[set.source]]\nname = 'zebra'\ncount = 5\n[[set.source]]\nname = 'ant'\npath = 'b'\n";
  const auto names = [](const config& c) {
    std::string out;
    for (const auto& [name, section] : c.section("set").named_sections("source"))
      out += name + "=" + std::to_string(section.get<int>("count", 1)) + section.get<std::string>("path", "?") + " ";
    return out;
  };
  const auto c = config::parse(text, "r.toml", std::vector<std::string>{"set.source.ant.count=7"});
  CHECK(names(c) == "zebra=5? ant=7b ");
  c.declare({"set.size"});
  CHECK_NOTHROW(c.check_unknown());
  CHECK(c.place("set.source.zebra.count") == "r.toml:5");
  CHECK(c.place("set.source.ant.count") == "--set set.source.ant.count=7");
  // What was read reads back, in the same order.
  const auto again = config::parse(c.resolved(), "resolved.toml");
  CHECK(names(again) == "zebra=5? ant=7b ");
  // Sub-sections, and overrides without a recipe, are such a list too.
  CHECK(names(config::parse("[set.source.b]\ncount = 2\n[set.source.a]\n", "r.toml")) == "b=2? a=1? ");
  CHECK(names(config(std::vector<std::string>{"set.source.x.path=p", "set.source.a.count=2",
                                              "set.source.x.count=3"})) == "x=3p a=2? ");
  CHECK(names(config::parse("[set.source.b]\ncount = 2\n", "r.toml",
                            std::vector<std::string>{"set.source.a.count=4", "set.source.b.path=q"})) == "b=2q a=4? ");
  CHECK(names(config::parse("[set]\nsize = 1\n", "r.toml")).empty());
}

TEST_CASE("options: entries of a list of sections that cannot be named or are unknown are refused at their line") {
  const auto problem = [](const std::string& text, std::vector<std::string> overrides = {}) {
    return message_of([&] {
      const auto c = config::parse(text, "r.toml", overrides);
      for (const auto& [name, section] : c.named_sections("set.source")) section.get<int>("count", 1);
      c.check_unknown();
    });
  };
  const std::string one = "[[set.source]]\nname = 'a'\n";
  CHECK(problem(one + "cuont = 2\n") == "r.toml:3: unknown key set.source.a.cuont; did you mean set.source.a.count?");
  CHECK_THAT(problem(one + "[[set.source]]\ncount = 2\n"),
             ContainsSubstring("r.toml:3: set.source: an entry needs a name"));
  CHECK_THAT(problem("[[set.source]]\nname = 'a.b'\n"), ContainsSubstring("an entry needs a name"));
  CHECK_THAT(problem(one + one), ContainsSubstring("r.toml:3: set.source: two entries have the name a"));
  CHECK_THAT(problem(one + "count = 'x'\n"), ContainsSubstring("r.toml:3: set.source.a.count is a string"));
  CHECK_THAT(problem("[set]\nsource = 3\n"), ContainsSubstring("r.toml:2: set.source must be a list of sections"));
  CHECK_THAT(problem(one, {"set.source.b.count=2"}), ContainsSubstring("the name of no entry"));
  CHECK_THAT(problem(one + "[other]\nx = 1\n"), ContainsSubstring("unknown key other.x"));
  // A list that nobody reads: its keys are unknown, by name or by place.
  CHECK_THAT(problem(one + "[[sets]]\ncount = 1\n"), ContainsSubstring("r.toml:4: unknown key sets.0.count"));
}

TEST_CASE("what a recipe gives can be listed for people") {
  const auto options = config::parse(
      "seed = 3\n[ppo]\nlambda = 0.10000000000000001\npolicy = 'a b'\nstop = ['x', 'y']\n"
      "[ppo.length_bonus]\ncoefficient = 2.0\n",
      "r.toml");
  auto given = options.given();
  std::ranges::sort(given);
  CHECK(given == std::vector<std::pair<std::string, std::string>>{{"ppo.lambda", "0.1"},
                                                                  {"ppo.length_bonus.coefficient", "2"},
                                                                  {"ppo.policy", "a b"},
                                                                  {"ppo.stop", "[ 'x', 'y' ]"},
                                                                  {"seed", "3"}});
}

TEST_CASE(
    "options: a value or a list where a section is expected is refused with its shape, not as a key that is absent") {
  const auto problem = [](const std::string& text, const std::string& key = "model.path") {
    return message_of([&] { config::parse(text, "r.toml").require<std::string>(key, "a folder"); });
  };
  CHECK(problem("seed = 1\nmodel = 'llama'\n") ==
        "r.toml:2: model is a string ('llama'), expected a section: [model] with the key path");
  CHECK(problem("model = []\n") == "r.toml:1: model is a list ([]), expected a section: [model] with the key path");
  CHECK(problem("[[model]]\npath = 'x'\n") ==
        "r.toml:1: model is a list of sections, expected one: [model] in place of [[model]]");
  CHECK(problem("[ppo]\nlearning_rate = 1e-4\n", "ppo.learning_rate.kind") ==
        "r.toml:2: ppo.learning_rate is now ppo.learning_rate.peak");
  CHECK_THAT(problem("[model]\nkind = 'x'\n"), ContainsSubstring("model.path is not given"));
  // An entry of a list has its own keys.
  const auto listed = config::parse("[[set.source]]\nname = 'a'\n", "r.toml");
  CHECK(listed.get<int>("set.source.a.count", 7) == 7);
}

TEST_CASE("options: an empty section is known where its keys are") {
  const auto problem = [](const std::string& text) {
    const auto c = config::parse(text, "r.toml");
    c.get<double>("sft.optimizer.beta1", 0.9);
    return message_of([&] { c.check_unknown(); });
  };
  CHECK(problem("[sft.optimizer]\n") == "");
  CHECK(problem("[sft]\n") == "");
  CHECK(problem("[sft.optimiser]\n") == "r.toml:1: unknown key sft.optimiser; coho options lists the known ones");
}

TEST_CASE("options: an override of a section of other stages is refused unless the overrides are shared") {
  const std::vector<std::string> others{"ppo"};
  const auto problem = [&](const config& c) {
    c.get<double>("sft.rate", 0), c.declare({"seed"});
    c.allow_sections(others);
    return message_of([&] { c.check_unknown(); });
  };
  CHECK(problem(recipe({"ppo.steps=3"})) ==
        "--set ppo.steps=3: ppo.steps has no effect here: this stage does not read the section ppo");
  CHECK(problem(recipe()) == "");  // those of the file are for other stages
  const auto shared = recipe({"ppo.steps=3"});
  shared.share_overrides();
  CHECK(problem(shared) == "");
}

TEST_CASE("options: the place of a section that only an override made is the override; places are one line") {
  const auto c = recipe({"sft.epochs.x=3"});
  CHECK(message_of([&] { c.get<int>("sft.epochs", 1); }).starts_with("--set sft.epochs.x=3: sft.epochs is a section"));
  const auto broken = recipe({"ppo.steps=a\nb"});
  CHECK(message_of([&] { broken.get<int>("ppo.steps", 1); }) ==
        "--set ppo.steps=a\\nb: ppo.steps = 'a\\nb', expected an integer");
  CHECK_THAT(message_of([] { recipe({"a\nb"}); }), ContainsSubstring("--set a\\nb: expected key=value"));
}

TEST_CASE("options: the overrides of one config replace values of another") {
  const config from(std::vector<std::string>{"ppo.steps=7", "own.files=[\"a\"]", "ppo.names=x", "seed=9"});
  using list = std::vector<std::pair<std::string, std::string>>;
  CHECK(from.overrides() == list{{"ppo.steps", "--set ppo.steps=7"},
                                 {"own.files", "--set own.files=[\"a\"]"},
                                 {"ppo.names", "--set ppo.names=x"},
                                 {"seed", "--set seed=9"}});
  auto c = recipe();
  c.add_overrides(from, "own");
  CHECK(c.get<int>("ppo.steps", 0) == 7);
  CHECK(c.get<int>("seed", 0) == 9);
  CHECK(c.get<std::vector<std::string>>("ppo.names", {}) == std::vector<std::string>{"x"});
  CHECK(c.place("ppo.steps") == "--set ppo.steps=7");
  CHECK_FALSE(c.has("own.files"));
}
