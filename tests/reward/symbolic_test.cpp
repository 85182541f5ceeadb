#include <optional>
#include <string>
#include <vector>

#include <coho/reward/symbolic.hpp>

#include "support/catch.hpp"
#include "support/test_arrays.hpp"

using namespace coho::test;
using coho::length_bonus, coho::language_bonus;

namespace {

// Enough to tell two languages apart.
std::string by_first_letter(std::string_view text) { return text.starts_with("z") ? "zz" : "aa"; }

}  // namespace

TEST_CASE("length bonus of the paper: +5 general, -2 reasoning, at 1024 tokens") {
  const length_bonus general{coho::length_bonus_options::paper()}, reasoning{{.coefficient = -2}};
  CHECK(general(1024) == Approx(5));
  CHECK(general(512) == Approx(2.5));
  CHECK(general(0) == 0);
  CHECK(reasoning(1024) == Approx(-2));
}

TEST_CASE("length bonus of the released code: capped ratio, the record's multiplier") {
  const length_bonus bonus{coho::length_bonus_options::salmon_code()};
  CHECK(bonus(512) == Approx(2.5));
  CHECK(bonus(1024) == Approx(4));
  CHECK(bonus(1024, -0.4) == Approx(-2));
  CHECK(bonus(512, 3) == Approx(4));
  const std::vector<coho::token> response(256);
  coho::reward_query query{.response_tokens = response};
  query.length_multiplier = 2;
  CHECK(bonus(query) == Approx(2.5));
}

TEST_CASE("language bonus for the prompt's language") {
  const language_bonus bonus{by_first_letter, 1.5};
  CHECK(bonus({.prompt = "apple", .response = "answer"}) == 1.5);
  CHECK(bonus({.prompt = "apple", .response = "zebra"}) == 0);
}

TEST_CASE("a language that is not known earns nothing") {
  const auto identify = [](std::string_view text) {
    return text.empty() ? std::nullopt : std::optional<char>(text[0]);
  };
  const language_bonus bonus{identify, 1.0};
  CHECK(bonus({.prompt = "a", .response = "a"}) == 1);
  CHECK(bonus({.prompt = "", .response = ""}) == 0);
  CHECK(bonus({.prompt = "a", .response = ""}) == 0);
}

TEST_CASE("unusable options of symbolic rewards") {
  CHECK_THROWS_AS(length_bonus({.coefficient = not_a_number}), coho::option_error);
  CHECK_THROWS_AS(length_bonus({.max_response_tokens = 0}), coho::option_error);
  CHECK_THROWS_AS(length_bonus({.cap = 0}), coho::option_error);
  CHECK_THROWS_AS((language_bonus{by_first_letter, infinity}), coho::option_error);
}
