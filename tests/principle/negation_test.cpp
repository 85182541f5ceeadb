#include <range/v3/range/conversion.hpp>
#include <range/v3/view/take.hpp>

#include <coho/principle/negation.hpp>

#include "support/catch.hpp"
#include "support/chi_square.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::principle;

namespace {
const std::vector<principle> negated_principles{{"Concise", "Few words.", "Many words.", 1},
                                                {"Ethical", "No harm.", "Some harm.", 2},
                                                {"Plain", "Plain words.", "", 3}};
}

TEST_CASE("negation exchanges the definitions and is its own inverse") {
  const auto turned = coho::negate_principle(negated_principles[0]);
  CHECK(turned.definition == "Many words.");
  CHECK(turned.negative_definition == "Few words.");
  CHECK(turned.name == "Concise");
  CHECK(coho::negate_principle(turned) == negated_principles[0]);
  CHECK_THROWS_WITH(coho::negate_principle(negated_principles[2]),
                    ContainsSubstring("\"Plain\" has no negative definition"));
}

TEST_CASE("negation composes as a view") {
  const auto turned =
      negated_principles | ranges::views::take(2) | coho::negated | ranges::to<std::vector<principle>>();
  REQUIRE(turned.size() == 2);
  CHECK(turned[1].definition == "Some harm.");
}

TEST_CASE("each drawn principle is negated with the given probability, independently") {
  coho::rng random(11);
  const std::vector<std::size_t> indices{2, 0};
  std::vector<std::size_t> counts(4, 0);
  for (int i = 0; i < 20000; ++i) {
    const auto drawn = coho::negate_each(indices, 0.3, random);
    REQUIRE(drawn.size() == 2);
    CHECK((drawn[0].index == 2 && drawn[1].index == 0));
    ++counts[(drawn[0].negated ? 2 : 0) + (drawn[1].negated ? 1 : 0)];
  }
  CHECK(coho::test::fits(counts, std::vector{.49, .21, .21, .09}));
  CHECK_FALSE(coho::test::fits(counts, std::vector{.25, .25, .25, .25}));
}

TEST_CASE("probability 0 never and 1 always negates; others are refused") {
  coho::rng random(1);
  const std::vector<std::size_t> indices(50, 0);
  for (const auto& d : coho::negate_each(indices, 0.0, random)) CHECK_FALSE(d.negated);
  for (const auto& d : coho::negate_each(indices, 1.0, random)) CHECK(d.negated);
  CHECK_THROWS_WITH(coho::negate_each(indices, 1.5, random), ContainsSubstring("negation_probability = 1.5"));
}

TEST_CASE("a drawn principle's sentence is its positive or negative definition") {
  const std::vector<coho::drawn_principle> drawn{{1, true}, {0, false}};
  CHECK(coho::definitions_of(negated_principles, drawn) == std::vector<std::string>{"Some harm.", "Few words."});
  CHECK(coho::definition_of(negated_principles[1], true) == "Some harm.");
  CHECK(coho::definition_of(negated_principles[2], false) == "Plain words.");
  CHECK_THROWS_WITH(coho::definition_of(negated_principles[2], true),
                    ContainsSubstring("\"Plain\" has no negative definition"));
  CHECK_THROWS_AS(coho::definition_of(negated_principles, {3, false}), coho::argument_error);
  CHECK_THROWS_AS(coho::definition_of(negated_principles, {2, true}), coho::argument_error);
}
