#include <algorithm>
#include <map>

#include <coho/principle/intervention.hpp>

#include "support/catch.hpp"
#include "support/chi_square.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::intervention_position;
using coho::intervention_set;

namespace {

const intervention_set all({{"Direct", "No advice."}, {"Modest", "No praise."}, {"Brief", "No examples."}});

std::vector<std::string> names(const intervention_set& set) {
  std::vector<std::string> out;
  for (const auto& one : set.active()) out.push_back(one.name);
  return out;
}

}  // namespace

TEST_CASE("interventions are switched by name, and sets are values") {
  CHECK(all.size() == 3);
  const auto two = all.without("Modest");
  CHECK(names(two) == std::vector<std::string>{"Direct", "Brief"});
  CHECK_FALSE(two.contains("Modest"));
  CHECK(all.contains("Modest"));
  CHECK(names(two.with("Modest")) == names(all));
  CHECK(all.all_off().empty());
  CHECK(names(all.all_off().with("Brief", "Direct")) == std::vector<std::string>{"Direct", "Brief"});
  CHECK(all.without("Brief", "Direct", "Modest").empty());
  CHECK(names(all.without("Brief").without("Brief")) == names(all.without("Brief")));
}

TEST_CASE("a new intervention joins, a taken name does not") {
  const auto more = all.with({"Calm", "No shouting."});
  CHECK(names(more) == std::vector<std::string>{"Direct", "Modest", "Brief", "Calm"});
  CHECK(names(all.without("Brief").with({"Brief", "No examples."})) == names(all));
  CHECK_THROWS_WITH(all.with({"Brief", "Something else."}), ContainsSubstring("\"Brief\" is already there"));
  CHECK_THROWS_WITH(all.with("Breif"), ContainsSubstring("\"Breif\"") && ContainsSubstring("Direct, Modest, Brief"));
  CHECK_THROWS_AS(all.without("Calm"), coho::argument_error);
  CHECK_THROWS_AS(intervention_set({{"Direct", ""}}), coho::argument_error);
  CHECK_THROWS_AS(intervention_set({{"", "x"}}), coho::argument_error);
  CHECK_THROWS_WITH(intervention_set{}.with("Any"), ContainsSubstring("known: none"));
}

TEST_CASE("interventions can be made of principles") {
  const std::vector<coho::principle> list{{"Modest", "No praise.", "", 7}};
  CHECK(intervention_set(list).active() == std::vector<coho::intervention>{{"Modest", "No praise."}});
}

TEST_CASE("the guideline puts interventions first or last and keeps both orders") {
  coho::rng random(1);
  const std::vector<std::string> lines{"p", "q\nr"};
  const auto set = all.without("Modest");
  CHECK(coho::compose_guideline(set, lines, intervention_position::first, random) ==
        std::vector<std::string>{"No advice.", "No examples.", "p", "q r"});
  CHECK(coho::compose_guideline(set, lines, intervention_position::last, random) ==
        std::vector<std::string>{"p", "q r", "No advice.", "No examples."});
  CHECK(random.save() == coho::rng(1).save());
  CHECK(coho::compose_guideline({}, lines, intervention_position::first, random).size() == 2);
  CHECK(coho::compose_guideline(set, std::vector<std::string>{}, intervention_position::last, random).size() == 2);
}

TEST_CASE("shuffled guidelines hold the same lines in every order alike") {
  coho::rng random(6);
  std::map<std::vector<std::string>, std::size_t> seen;
  const auto one = all.all_off().with("Modest");
  for (int i = 0; i < 12000; ++i) {
    ++seen[coho::compose_guideline(one, std::vector<std::string>{"p", "q"}, intervention_position::shuffled, random)];
  }
  REQUIRE(seen.size() == 6);
  std::vector<std::size_t> counts;
  for (const auto& [order, count] : seen) {
    CHECK(std::is_permutation(order.begin(), order.end(), std::vector<std::string>{"No praise.", "p", "q"}.begin()));
    counts.push_back(count);
  }
  CHECK(coho::test::fits(counts, std::vector<double>(6, 1.0 / 6)));
}
