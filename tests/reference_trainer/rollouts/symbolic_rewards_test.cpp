#include "rollouts/symbolic_rewards.hpp"

#include <vector>

#include "support/catch.hpp"
#include "support/ppo_recipes.hpp"
#include "support/stage_runs.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("symbolic_rewards: each by itself and in sum, and whether languages agree where that is not rewarded") {
  register_language_identifier("last letter", [](std::string_view text) { return std::string(1, text.back()); });
  const std::vector<token> answered(30, 5);
  const reward_query same{.response_tokens = answered, .prompt = "ab", .response = "cb"},
      other{.response_tokens = answered, .prompt = "ab", .response = "ca"};
  const auto of = [](const settings& given) {
    return read_bonus(config(settings{"language_identifier=last letter"} + given), 60);
  };

  const auto off = of({});
  CHECK_FALSE(off.rewards_length());
  CHECK_FALSE(off.rewards_language());
  CHECK(off(same) == 0);
  CHECK(off.same_language(same));
  CHECK_FALSE(off.same_language(other));

  const auto both = of({"length_bonus.coefficient=5", "language_bonus=3"});
  CHECK(both.rewards_length());
  CHECK(both.rewards_language());
  CHECK(both.length(same) == Approx(2.5));
  CHECK(both.language(same) == 3);
  CHECK(both.language(other) == 0);
  CHECK(both(same) == Approx(5.5));
  CHECK(both(other) == Approx(2.5));
}

TEST_CASE("symbolic_rewards: two texts of unknown language are not of one language") {
  const auto bonus = read_bonus(config(settings{"language_bonus=3"}), 60);
  const std::string german = "Der Hund schläft unter dem großen Tisch, und die Katze sieht ihm dabei zu.";
  CHECK(bonus.language({.prompt = german, .response = german}) == 3);
  CHECK(bonus.language({.prompt = "2 + 2", .response = "= 4"}) == 0);
  CHECK_FALSE(bonus.same_language({.prompt = "2 + 2", .response = "= 4"}));
  CHECK(bonus.language({.prompt = "2 + 2", .response = german}) == 0);
}
