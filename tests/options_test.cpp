#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <coho/loss/ppo_clip.hpp>
#include <coho/options.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

namespace {

enum class colour { red, green };
constexpr auto option_names(colour) { return std::array{"red", "green"}; }

struct inner_options {
  double share = 0.5;
  std::size_t count = 3;
  static void describe(auto&& visit, auto&... o) {
    visit({"share", "a part of one", allowed::in_from(0, 1)}, o.share...);
    visit({"count", "of things", allowed::at_least(1), "things"}, o.count...);
  }
  void check_constraints(const std::string& prefix) const {
    require_option(share > 0 || count == 3, prefix + "count", count, "3 while share is 0");
  }
};

struct outer_options {
  inner_options inner{};
  std::optional<inner_options> extra{};
  colour kind = colour::red;
  bool on = true;
  std::vector<std::string> words{};
  static void describe(auto&& visit, auto&... o) {
    visit({"inner", "one of them"}, o.inner...);
    visit({"extra", "another, or none"}, o.extra...);
    visit({"kind", "of colour"}, o.kind...);
    visit({"on", "whether"}, o.on...);
    visit({"words", "any"}, o.words...);
  }
};

static_assert(described<inner_options> && described<outer_options> && described<ppo_clip_options>);
static_assert(!described<double> && !described<std::string> && !described<std::optional<inner_options>>);
static_assert(optional_described<std::optional<inner_options>> && !optional_described<std::optional<double>>);

constexpr double endless = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("ranges of options hold what they say") {
  CHECK(allowed::any().contains(-1e300));
  for (const auto& range : {allowed::any(), allowed::at_least(0), allowed::above(0), allowed::in(0, 1)}) {
    CHECK_FALSE(range.contains(std::nan("")));
    CHECK_FALSE(range.contains(endless));
    CHECK(range.contains(1));
    CHECK_FALSE(range.contains(-endless));
  }
  CHECK(allowed::at_least(2).contains(2));
  CHECK_FALSE(allowed::above(2).contains(2));
  CHECK((allowed::in(0, 1).contains(0) && allowed::in(0, 1).contains(1)));
  CHECK_FALSE((allowed::in_open(0, 1).contains(0) || allowed::in_open(0, 1).contains(1)));
  CHECK((allowed::in_from(0, 1).contains(0) && !allowed::in_from(0, 1).contains(1)));
  CHECK((!allowed::in_up_to(0, 1).contains(0) && allowed::in_up_to(0, 1).contains(1)));
  const auto dual = allowed::above(1).or_zero().or_infinity();
  CHECK((dual.contains(0) && dual.contains(1.1) && dual.contains(endless)));
  CHECK_FALSE((dual.contains(1) || dual.contains(0.5) || dual.contains(-endless)));
}

TEST_CASE("ranges are written for people") {
  CHECK(allowed_text(allowed::any()) == "finite");
  CHECK(allowed_text(allowed::any(), true).empty());
  CHECK(allowed_text(allowed::at_least(0)) == "finite and at least 0");
  CHECK(allowed_text(allowed::at_least(1), true) == "at least 1");
  CHECK(allowed_text(allowed::count(), true) == "in [1, 2147483647]");
  CHECK(allowed_text(allowed::above(0)) == "finite and greater than 0");
  CHECK(allowed_text(allowed::in(0, 1)) == "in [0, 1]");
  CHECK(allowed_text(allowed::in_open(0, 1)) == "in (0, 1)");
  CHECK(allowed_text(allowed::in_from(0, 0.5)) == "in [0, 0.5)");
  CHECK(allowed_text(allowed::in(2, 1 << 20), true) == "in [2, 1048576]");
  CHECK(allowed_text(allowed::above(1).or_zero()) == "0 (off) or finite and greater than 1");
  CHECK(allowed_text(allowed::above(1).or_zero(), true) == "0 (off) or greater than 1");
  CHECK(allowed_text(allowed::above(1).or_zero().or_infinity()) == "0 (off) or greater than 1 (infinity: off)");
  CHECK(allowed_text(allowed::at_least(1).or_infinity()) == "at least 1 (infinity: off)");
  CHECK(allowed_text(allowed::bound()) == "at least 0 (0 or infinity: off)");
}

TEST_CASE("an option out of its range is named with its groups") {
  CHECK_NOTHROW(validate(outer_options{}));
  CHECK_THROWS_WITH(validate(outer_options{.inner = {.share = 1}}, "all."),
                    "option all.inner.share = 1 is not allowed: it must be in [0, 1)");
  CHECK_THROWS_WITH(validate(outer_options{.extra = inner_options{.count = 0}}),
                    "option extra.count = 0 is not allowed: it must be at least 1");
  CHECK_THROWS_AS(validate(inner_options{.share = std::nan("")}), option_error);
  // What holds between members is asked of each group.
  CHECK_THROWS_WITH(validate(outer_options{.inner = {.share = 0, .count = 2}}),
                    ContainsSubstring("inner.count = 2") && ContainsSubstring("3 while share is 0"));
}

TEST_CASE("the first difference of two structs is named") {
  const outer_options defaults;
  CHECK(changed_option(defaults, {}).empty());
  CHECK(changed_option(outer_options{.inner = {.count = 4}}, defaults) == "inner.count");
  CHECK(changed_option(outer_options{.extra = inner_options{}}, defaults) == "extra");
  CHECK(changed_option(outer_options{.extra = inner_options{.share = 0.1}}, outer_options{.extra = inner_options{}}) ==
        "extra.share");
  CHECK(changed_option(outer_options{.kind = colour::green}, defaults) == "kind");
  CHECK(changed_option(outer_options{.words = {"a"}}, defaults) == "words");
}

TEST_CASE("an option without effect is refused by its name") {
  CHECK_NOTHROW(require_unused(ppo_clip_options{}, {}, "policy_clip.", "where a policy loss is given"));
  CHECK_THROWS_WITH(
      require_unused(ppo_clip_options{.clip_high = 0.3}, {}, "policy_clip.", "where a policy loss is given"),
      ContainsSubstring("policy_clip.clip_high") && ContainsSubstring("left as it is where a policy loss is given"));
}

TEST_CASE("the names of an enumeration are found by its type") {
  CHECK(std::string(option_names(colour::green)[static_cast<std::size_t>(colour::green)]) == "green");
}
