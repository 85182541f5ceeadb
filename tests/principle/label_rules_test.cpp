#include <optional>
#include <vector>

#include <coho/principle/label_rules.hpp>

#include "support/catch.hpp"

namespace {
const std::vector<std::string> phrases{"as an AI", "I cannot"};
const auto first_letter = [](std::string_view text) { return text.empty() ? '?' : text.front(); };
const auto unsure = [](std::string_view text) {
  return text.empty() ? std::optional<char>() : std::optional<char>(text.front());
};
}  // namespace

TEST_CASE("banned phrases are found in either case") {
  const auto facts = coho::find_rule_facts({"q", "As an ai model, no.", "Fine."}, phrases);
  CHECK(facts.holds_banned_phrase[0]);
  CHECK_FALSE(facts.holds_banned_phrase[1]);
  CHECK_FALSE(facts.language.has_value());
  CHECK(coho::find_rule_facts({"q", "x", "well, I cannot"}, phrases).holds_banned_phrase[1]);
  CHECK_THROWS_AS(coho::find_rule_facts({"q", "x", "y"}, std::vector<std::string>{""}), coho::argument_error);
}

TEST_CASE("languages are compared with the prompt's") {
  const auto facts = coho::find_rule_facts({"apple", "axe", "bear"}, phrases, first_letter);
  REQUIRE(facts.language.has_value());
  CHECK(facts.language->same[0]);
  CHECK_FALSE(facts.language->same[1]);
}

TEST_CASE("an unknown language is no evidence") {
  CHECK_FALSE(coho::find_rule_facts({"", "axe", "bear"}, phrases, unsure).language.has_value());
  const auto facts = coho::find_rule_facts({"apple", "", "bear"}, phrases, unsure);
  REQUIRE(facts.language.has_value());
  CHECK(facts.language->same[0]);
  CHECK_FALSE(facts.language->same[1]);
}
