#include "config/recipe_file.hpp"

#include <fstream>

#include <coho/error.hpp>

#include "config/config.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

struct recipes {
  coho::test::temporary_directory folder;
  recipes& add(const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return *this;
  }
  config load(const std::string& name) const { return config::load(folder / name); }
  std::string problem(const std::string& name) const {
    try {
      load(name);
    } catch (const coho::error& e) {
      return e.what();
    }
    return {};
  }
};

}  // namespace

TEST_CASE("extends: sections are merged key by key, lists are replaced, the nearest recipe wins") {
  recipes files;
  files.add("base.toml", "seed = 7\n[ppo]\nsteps = 200\nlist = [1, 2, 3]\n[ppo.bonus]\ncap = 0.8\ncoefficient = 5.0\n")
      .add("middle.toml", "extends = \"base\"\n[ppo]\nsteps = 100\n")
      .add("own.toml", "extends = 'middle.toml'\n\n[ppo]\nlist = [4]\n[ppo.bonus]\ncap = 0.5\n[reward]\nepochs = 2\n");
  const config own = files.load("own.toml");
  CHECK(own.get<std::int64_t>("seed", 0) == 7);
  CHECK(own.get<std::int64_t>("ppo.steps", 0) == 100);
  CHECK(own.get<std::vector<std::int64_t>>("ppo.list", {}) == std::vector<std::int64_t>{4});
  CHECK(own.get<double>("ppo.bonus.cap", 0) == 0.5);
  CHECK(own.get<double>("ppo.bonus.coefficient", 0) == 5.0);
  CHECK(own.get<std::int64_t>("reward.epochs", 0) == 2);
  CHECK_FALSE(own.has("extends"));
  own.check_unknown();
  // A place is that of the file which gives the value.
  CHECK_THAT(own.place("ppo.bonus.cap"), Catch::Matchers::EndsWith("own.toml:6"));
  CHECK_THAT(own.place("ppo.steps"), Catch::Matchers::EndsWith("middle.toml:3"));
  CHECK_THAT(own.place("ppo.bonus.coefficient"), Catch::Matchers::EndsWith("base.toml:7"));
  // An override stands above them all.
  CHECK(config::load(files.folder / "own.toml", {"ppo.steps=3"}).get<std::int64_t>("ppo.steps", 0) == 3);
}

TEST_CASE("extends: entries of a list of sections are changed by their names, and a list replaces the list") {
  recipes files;
  files
      .add("base.toml",
           "[[p.source]]\nname = 'a'\npath = 'a.json'\ncount = 5\n[[p.source]]\nname = 'b'\npath = 'b.json'\n")
      .add("own.toml", "extends = 'base'\n[p.source.b]\npath = 'mine.json'\n[p.source.c]\npath = 'c.json'\n")
      .add("other.toml", "extends = 'base'\n[[p.source]]\nname = 'd'\npath = 'd.json'\n")
      .add("wrong.toml", "extends = 'base'\n[p.source]\ncount = 3\n");
  const auto entries = [](const config& c) {
    std::string out;
    for (const auto& [name, section] : c.named_sections("p.source"))
      out +=
          name + "=" + section.get<std::string>("path", "") + " " + std::to_string(section.get<int>("count", 0)) + ";";
    c.check_unknown();
    return out;
  };
  const config own = files.load("own.toml");
  CHECK(entries(own) == "a=a.json 5;b=mine.json 0;c=c.json 0;");
  CHECK_THAT(own.place("p.source.b.path"), Catch::Matchers::EndsWith("own.toml:3"));
  CHECK_THAT(own.place("p.source.a.path"), Catch::Matchers::EndsWith("base.toml:3"));
  CHECK(entries(files.load("other.toml")) == "d=d.json 0;");
  CHECK_THROWS_AS(entries(files.load("wrong.toml")), config_error);
}

TEST_CASE("extends: a file beside the recipe comes before a shipped recipe of that name") {
  recipes files;
  files.add("own.toml", "extends = \"dromedary-2-7b\"\n");
  CHECK(files.load("own.toml").get<std::string>("model.path", "") == "llama-2-7b");
  files.add("dromedary-2-7b.toml", "[model]\npath = 'mine'\n");
  CHECK(files.load("own.toml").get<std::string>("model.path", "") == "mine");
}

TEST_CASE("extends: a recipe may be named like the shipped one that it extends") {
  recipes files;
  files.add("dromedary-2-7b.toml", "extends = 'dromedary-2-7b'\n[ppo]\nsteps = 3\n");
  CHECK(files.load("dromedary-2-7b.toml").get<std::string>("model.path", "") == "llama-2-7b");
  CHECK(files.load("dromedary-2-7b.toml").get<std::int64_t>("ppo.steps", 0) == 3);
}

TEST_CASE("extends: what cannot be read is told with its place") {
  recipes files;
  files.add("missing.toml", "\nextends = \"nowhere\"\n")
      .add("number.toml", "extends = 3\n")
      .add("itself.toml", "extends = \"itself\"\n")
      .add("a.toml", "extends = \"b\"\n")
      .add("b.toml", "extends = \"a\"\n")
      .add("broken.toml", "seed = 1\nseed = 2\n")
      .add("on_broken.toml", "extends = \"broken\"\n");
  CHECK_THROWS_AS(files.load("missing.toml"), coho::file_error);
  CHECK_THAT(files.problem("missing.toml"), ContainsSubstring("nowhere") && ContainsSubstring("missing.toml:2"));
  CHECK_THROWS_AS(files.load("number.toml"), config_error);
  CHECK_THAT(files.problem("number.toml"), ContainsSubstring("number.toml:1: extends must be"));
  CHECK_THAT(files.problem("itself.toml"), ContainsSubstring("extends it in turn"));
  CHECK_THAT(files.problem("a.toml"), ContainsSubstring("extends it in turn"));
  CHECK_THAT(files.problem("on_broken.toml"), ContainsSubstring("broken.toml:2: is not TOML"));
}

TEST_CASE("recipe_file: a name in quotes that holds a dot is refused at its line, in lists and overrides too") {
  recipes files;
  files.add("a.toml", "[sft]\n\"learning_rate.peak\" = 1e-3\n")
      .add("b.toml", "[[prompts.source]]\nname = 'x'\n'prompts.path' = 'p'\n")
      .add("c.toml", "[sft]\nlearning_rate.peak = 1e-3\n");
  CHECK_THAT(
      files.problem("a.toml"),
      Catch::Matchers::EndsWith("a.toml:2: \"learning_rate.peak\" in quotes is one name with a dot in it, which no "
                                "key has: write learning_rate.peak without quotes"));
  CHECK_THAT(files.problem("b.toml"), ContainsSubstring("b.toml:3: \"prompts.path\""));
  CHECK(files.problem("c.toml") == "");
  CHECK_THROWS_WITH(config::load(files.folder / "c.toml", {"sft={\"a.b\"=1}"}),
                    ContainsSubstring("--set sft={\"a.b\"=1}: \"a.b\" in quotes"));
}

TEST_CASE("recipe_file: an override by a table would lose the recipe's section") {
  recipes files;
  files.add("a.toml", "[ppo]\nsteps = 5\nshaping.kl_coefficient = 1\n");
  CHECK_THROWS_WITH(config::load(files.folder / "a.toml", {"ppo={epochs=3}"}),
                    "--set ppo={epochs=3}: ppo would lose what the recipe has there: set its keys one by one, as in "
                    "--set ppo.epochs=3");
  CHECK_THROWS_WITH(config::load(files.folder / "a.toml", {"ppo.shaping={}"}),
                    ContainsSubstring("--set ppo.shaping.KEY=…"));
  CHECK(config::load(files.folder / "a.toml", {"sft={epochs=3}"}).get<int>("sft.epochs", 1) == 3);
}
