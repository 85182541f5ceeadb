#include "config/read_options.hpp"

#include <array>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/option_list.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

enum class metal { iron, tin };
constexpr auto option_names(metal) { return std::array{"iron", "tin"}; }

struct part_options {
  double share = 0.5;
  metal kind = metal::iron;
  static void describe(auto&& visit, auto&... o) {
    visit({"share", "a part of one", coho::allowed::in(0, 1)}, o.share...);
    visit({"kind", "of metal"}, o.kind...);
  }
};

struct whole_options {
  std::size_t count = 3;
  bool on = true;
  part_options part{};
  std::optional<part_options> extra{};
  static void describe(auto&& visit, auto&... o) {
    visit({"count", "of parts", coho::allowed::at_least(1)}, o.count...);
    visit({"on", "whether"}, o.on...);
    visit({"part", "a group"}, o.part...);
    visit({"extra", "a group that may be left out"}, o.extra...);
  }
};

whole_options read(const std::string& toml, const whole_options& preset = {}) {
  const auto recipe = config::parse(toml, "r.toml");
  whole_options out = preset;
  read_options(recipe.section("s"), out, {"on"});
  recipe.check_unknown();
  return out;
}

}  // namespace

TEST_CASE("read_options: what is not given stays as it is") {
  const whole_options preset{.count = 7, .part = {.share = 0.25, .kind = metal::tin}};
  const auto none = read("", preset);
  CHECK(none.count == 7);
  CHECK(none.part.share == 0.25);
  CHECK(none.part.kind == metal::tin);
  CHECK_FALSE(none.extra);
  const auto some = read("[s]\npart.share = 1\n[s.extra]\nkind = 'tin'\n", preset);
  CHECK(some.count == 7);
  CHECK(some.part.share == 1);
  CHECK(some.part.kind == metal::tin);
  REQUIRE(some.extra);
  CHECK(some.extra->kind == metal::tin);
  CHECK(some.extra->share == 0.5);
}

TEST_CASE("read_options: a value out of its range is refused with its place") {
  CHECK_THROWS_WITH(read("[s]\ncount = 0\n"), "r.toml:2: s.count = 0 is not allowed: it must be at least 1");
  CHECK_THROWS_WITH(read("[s]\npart.share = 1.5\n"),
                    ContainsSubstring("r.toml:2: s.part.share") && ContainsSubstring("in [0, 1]"));
  CHECK_THROWS_WITH(read("[s.extra]\nkind = 'tinn'\n"),
                    ContainsSubstring("s.extra.kind") && ContainsSubstring("did you mean tin?"));
  CHECK_THROWS_WITH(read("[s]\ncount = 'many'\n"), ContainsSubstring("expected an integer"));
  CHECK_THROWS_AS(read("[s]\ncount = 0\n"), config_error);
}

TEST_CASE("read_options: exceptions are not read, slips are told what was meant") {
  CHECK_THROWS_WITH(read("[s]\non = false\n"), ContainsSubstring("unknown key s.on"));
  CHECK_THROWS_WITH(read("[s]\nextra.knd = 'tin'\n"), ContainsSubstring("did you mean s.extra.kind?"));
  // The name without its group.
  CHECK_THROWS_WITH(read("[s]\nshare = 1\n"), ContainsSubstring("did you mean s.") && ContainsSubstring(".share?"));
}

TEST_CASE("read_options: the resolved recipe holds every option and reads back") {
  const auto recipe = config::parse("[s]\npart.share = 0.3\n", "r.toml");
  whole_options out;
  read_options(recipe.section("s"), out);
  const auto text = recipe.resolved();
  CHECK_THAT(text, ContainsSubstring("share = 0.3\n") && ContainsSubstring("count = 3\n"));
  whole_options again{.count = 9};
  read_options(config::parse(text, "resolved").section("s"), again);
  CHECK(coho::changed_option(out, again).empty());
}

TEST_CASE("read_options: an option without effect is refused by its key, one as in the preset is not") {
  const auto recipe = config::parse("[s]\npart.share = 0.3\n", "r.toml");
  whole_options out;
  read_options(recipe.section("s"), out);
  CHECK_THROWS_WITH(refuse_unused(recipe.section("s"), "part", out.part, part_options{}, "while s.on is true"),
                    ContainsSubstring("r.toml:2: s.part.share = 0.3") && ContainsSubstring("while s.on is true"));
  CHECK_NOTHROW(refuse_unused(recipe.section("s"), "part", out.part, part_options{.share = 0.3}, "while s.on is true"));
}

namespace {

struct path_options {
  std::filesystem::path needed{}, optional{}, shipped{"shipped.txt"};
  std::optional<std::filesystem::path> out{};
  std::vector<std::filesystem::path> list{};

  static void describe(auto&& visit, auto&... o) {
    visit(required({"needed", "a file"}), o.needed...);
    visit({"optional", "a file; none: nothing"}, o.optional...);
    visit({"shipped", "a file"}, o.shipped...);
    visit({"out", "a file"}, o.out...);
    visit({"list", "files"}, o.list...);
  }
};

}  // namespace

TEST_CASE("read_options: an empty path is refused, except where it is the default") {
  const auto read_paths = [](const std::string& more) {
    return read_section<path_options>(config::parse("[s]\n" + more, "r.toml").section("s"));
  };
  CHECK(read_paths("needed = 'a'\noptional = ''\n").optional.empty());
  CHECK_THROWS_WITH(read_paths("needed = ''\n"),
                    "r.toml:2: s.needed = '' is not allowed: it must be a path that is not empty");
  for (const std::string key : {"shipped", "out", "list"}) {
    CAPTURE(key);
    CHECK_THROWS_WITH(read_paths("needed = 'a'\n" + key + " = ''\n"), ContainsSubstring("r.toml:3: s." + key));
  }
  CHECK_THROWS_WITH(read_paths("needed = 'a'\nlist = ['b', '']\n"), ContainsSubstring("none is empty"));
  CHECK_THROWS_WITH(read_paths("needed = \"a\\u0000b\"\n"), ContainsSubstring("a path without the character NUL"));
}

TEST_CASE("read_options: an unused key is refused unless what switches it off prevails over it") {
  const auto refuse = [](const std::string& text, const std::vector<std::string>& overrides) {
    const auto recipe = config::parse(text, "r.toml", overrides);
    recipe.section("s").get<int>("keep", 1);
    refuse_unused(recipe.section("s"), "keep", true, "every", "while every is 0");
  };
  CHECK_THROWS_WITH(
      refuse("[s]\nkeep = 3\n", {}),
      "r.toml:2: s.keep = 3 is not allowed: it must be left out while every is 0, where it has no effect");
  CHECK_THROWS_AS(refuse("[s]\nkeep = 3\nevery = 0\n", {}), config_error);
  CHECK_THROWS_AS(refuse("[s]\nevery = 0\n", {"s.keep=3"}), config_error);
  CHECK_THROWS_AS(refuse("", {"s.keep=3", "s.every=0"}), config_error);
  CHECK_NOTHROW(refuse("[s]\nkeep = 3\n", {"s.every=0"}));
}

TEST_CASE("read_options: keys of other stages in a shared section are checked, and an override of one is refused") {
  std::vector<listed_option> listed;
  list_options(listed, "s.", {}, whole_options{});
  const auto problem = [&](const std::string& text, const std::vector<std::string>& overrides, bool for_all = false) {
    const auto recipe = config::parse(text, "r.toml", overrides);
    std::map<std::string, shared_key> keys;
    for (const auto& option : listed)
      keys[option.key] = {"sample", [option](const config& all) { option.check(all, option.key, option.range); }};
    recipe.allow_keys(keys);
    if (for_all) recipe.share_overrides();
    recipe.section("s").get<bool>("own", false);
    try {
      recipe.check_unknown();
      CHECK(recipe.resolved().find("count") == std::string::npos);  // not read by this stage
      return std::string();
    } catch (const config_error& wrong) {
      return std::string(wrong.what());
    }
  };
  CHECK(problem("[s]\nown = true\ncount = 4\npart.kind = 'tin'\n", {}).empty());
  CHECK_THAT(problem("[s]\ncount = 0\n", {}),
             ContainsSubstring("r.toml:2: s.count = 0") && ContainsSubstring("at least 1"));
  CHECK_THAT(problem("[s]\ncount = 'x'\n", {}), ContainsSubstring("expected an integer"));
  CHECK_THAT(problem("[s]\npart.kind = 'tinn'\n", {}), ContainsSubstring("r.toml:2: s.part.kind"));
  CHECK_THAT(problem("[s]\ncuont = 4\n", {}), ContainsSubstring("unknown key s.cuont"));
  CHECK_THAT(problem("", {"s.count=4"}),
             ContainsSubstring("--set s.count=4: s.count has no effect here: it is a key of sample"));
  CHECK(problem("", {"s.count=4"}, true).empty());
  CHECK_THAT(problem("", {"s.count=0"}, true), ContainsSubstring("at least 1"));
}
