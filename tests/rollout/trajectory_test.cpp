#include <coho/rollout/trajectory.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("a query is about its rollout and nothing else") {
  trajectory_batch rollouts;
  rollouts.prompts = {{.tokens = {1}, .length_multiplier = -0.4, .principles = {"be brief"}, .key = 1},
                      {.tokens = {2, 3}, .key = 2}};
  rollouts.batch = {{{1}, {2, 3}}, {{4, 5}, {6}}};
  rollouts.prompt_texts = {"a", "b"};
  rollouts.response_texts = {"c", "d"};
  rollouts.finished = {1, 0};
  const auto queries = rollouts.queries();
  REQUIRE(queries.size() == 2);
  CHECK(queries[0].prompt == "a");
  CHECK(queries[0].response == "c");
  CHECK(queries[0].principles[0] == "be brief");
  CHECK(queries[0].length_multiplier == -0.4);
  CHECK(queries[0].finished);
  CHECK(queries[1].response_tokens.size() == 1);
  CHECK(queries[1].prompt_tokens[1] == 3);
  CHECK(queries[1].principles.empty());
  CHECK_FALSE(queries[1].finished);
  CHECK(rollouts.size() == 2);
  CHECK(rollouts.tokens() == 3);
}

TEST_CASE("the value model sees its own context where there is one") {
  trajectory_batch rollouts;
  rollouts.batch = {{{1}}, {{4, 5}}};
  CHECK(rollouts.value_batch().prompts == packed<token>{{1}});
  rollouts.value_prompts = {{8, 9}};
  CHECK(rollouts.value_batch().prompts == packed<token>{{8, 9}});
  CHECK(rollouts.value_batch().responses == rollouts.batch.responses);
}

TEST_CASE("a visitor sees every member, in the order of declaration, of one object or two") {
  trajectory_batch rollouts;
  std::size_t members = 0;
  for_each_field(rollouts, [&](auto&) { ++members; });
  CHECK(members == 18);
  rl_prompt prompt{.tokens = {1}, .key = 4}, other = prompt;
  std::vector<const void*> places;
  for_each_field(std::as_const(prompt), [&](const auto& field) { places.push_back(&field); });
  REQUIRE(places.size() == 7);
  CHECK(places.front() == &prompt.tokens);
  CHECK(places.back() == &prompt.value_tokens);
  prompt.text = "new";
  for_each_field(other, std::as_const(prompt), [](auto& to, const auto& from) { to = from; });
  CHECK(other.text == "new");
  reward_breakdown parts{.score = 1, .bonus = {{"length", 2}}};
  for_each_field(parts, [](auto& field) { field = {}; });
  CHECK(parts == reward_breakdown{});
  CHECK(parts.bonus.empty());
}

TEST_CASE("prompts that cannot make a step are refused by name") {
  std::vector<rl_prompt> prompts{{.tokens = {1}, .key = 3}, {.tokens = {1}, .key = 4}};
  CHECK_NOTHROW(check_prompts(prompts));
  prompts[1].key = 3;
  CHECK_THROWS_WITH(check_prompts(prompts), ContainsSubstring("same key 3"));
  prompts[1] = {.tokens = {}, .key = 4};
  CHECK_THROWS_WITH(check_prompts(prompts), ContainsSubstring("prompt 1 has no tokens"));
  prompts[1] = {.tokens = {1}, .key = 4, .value_tokens = {2}};
  CHECK_THROWS_WITH(check_prompts(prompts), ContainsSubstring("value_tokens"));
}
