#include <limits>

#include <range/v3/view/filter.hpp>

#include <coho/principle/principle.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::principle;

namespace {
const std::vector<principle> two_sided_principles{{"Concise", "Few words.", "Many words.", 1},
                                                  {"Ethical", "No harm.", "Some harm.", 2},
                                                  {"Specific", "To the point.", "Vague.", 3}};
}

TEST_CASE("principles are found, selected and dropped by name") {
  CHECK(coho::find_principle(two_sided_principles, "Specific") == 2);
  CHECK_THROWS_WITH(coho::find_principle(two_sided_principles, "Brave"),
                    ContainsSubstring("\"Brave\"") && ContainsSubstring("Concise, Ethical, Specific"));

  const auto two = coho::select_principles(two_sided_principles, std::vector<std::string>{"Specific", "Concise"});
  REQUIRE(two.size() == 2);
  CHECK(two[0] == two_sided_principles[2]);
  CHECK(two[1] == two_sided_principles[0]);
  CHECK_THROWS_AS(coho::select_principles(two_sided_principles, std::vector<std::string>{"concise"}),
                  coho::argument_error);

  const auto rest = coho::drop_principles(two_sided_principles, std::vector<const char*>{"Ethical"});
  REQUIRE(rest.size() == 2);
  CHECK(rest[1] == two_sided_principles[2]);
  CHECK_THROWS_AS(coho::drop_principles(two_sided_principles, std::vector<std::string>{"Ethical", "Ethical"}),
                  coho::argument_error);
}

TEST_CASE("a list of principles is checked") {
  CHECK_NOTHROW(coho::check_principles(two_sided_principles));
  const auto with = [](principle p) {
    auto copy = two_sided_principles;
    copy.push_back(std::move(p));
    return copy;
  };
  CHECK_THROWS_WITH(coho::check_principles(with({"", "x", "", 1})), ContainsSubstring("principle 4 has no name"));
  CHECK_THROWS_WITH(coho::check_principles(with({"Kind", "", "", 1})), ContainsSubstring("\"Kind\" has no definition"));
  CHECK_THROWS_WITH(coho::check_principles(with({"Ethical", "x", "", 1})),
                    ContainsSubstring("\"Ethical\" occurs twice"));
  CHECK_THROWS_WITH(coho::check_principles(with({"Kind", "x", "", -1})), ContainsSubstring("weight"));
  CHECK_THROWS_AS(coho::check_principles(with({"Kind", "x", "", std::numeric_limits<double>::quiet_NaN()})),
                  coho::argument_error);
  CHECK_THROWS_WITH(coho::check_principles(std::vector<principle>{}), ContainsSubstring("empty"));
  CHECK_THROWS_WITH(coho::check_principles(std::vector<principle>{{"Kind", "x", "", 0}}),
                    ContainsSubstring("positive"));
  CHECK_NOTHROW(coho::check_principles(with({"Kind", "x", "", 0})));
}

TEST_CASE("range-v3 views are ranges of principles") {
  const auto light = two_sided_principles | ranges::views::filter([](const principle& p) { return p.weight < 3; });
  STATIC_REQUIRE(coho::principle_range<decltype(two_sided_principles)>);
  STATIC_REQUIRE(coho::principle_range<std::remove_const_t<decltype(light)>>);
  STATIC_REQUIRE_FALSE(coho::principle_range<std::vector<std::string>>);
  CHECK(coho::drop_principles(two_sided_principles, std::vector<std::string>{"Specific"}).size() == 2);
}

TEST_CASE("ASCII case is ignored in a search, other bytes are not") {
  CHECK(coho::detail::contains_ignoring_case("Consistent Reasoning", "reason"));
  CHECK(coho::detail::contains_ignoring_case("x", ""));
  CHECK_FALSE(coho::detail::contains_ignoring_case("rea", "reason"));
  CHECK(coho::detail::contains_ignoring_case("ÄRGER", "rger"));
  CHECK_FALSE(coho::detail::contains_ignoring_case("Ä", "ä"));
}
