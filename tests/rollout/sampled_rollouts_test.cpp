#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <coho/rollout/sampled_rollouts.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

namespace {

sampled_rollouts three_rollouts() {
  return {.prompts = {{.tokens = {1}, .key = 4}, {.tokens = {2, 3}, .key = 5}, {.tokens = {4}, .key = 6}},
          .responses = {{7, 0}, {8}, {9, 9, 0}},
          .finished = {1, 0, 1},
          .log_probs = {-1, -2, -3, -4, -5, -6},
          .texts = {"a", "b", "c"},
          .scores = {0.5, 1.5, 2.5}};
}

}  // namespace

TEST_CASE("a part of rollouts has their numbers") {
  const auto rollouts = three_rollouts();
  const auto part = rollouts.slice(1, 3);
  CHECK(part.size() == 2);
  CHECK(part.prompts[0].key == 5);
  CHECK(part.responses == packed<token>{{8}, {9, 9, 0}});
  CHECK(part.finished == std::vector<std::uint8_t>{0, 1});
  CHECK(part.log_probs == std::vector<double>{-3, -4, -5, -6});
  CHECK(part.texts == std::vector<std::string>{"b", "c"});
  CHECK(part.scores == std::vector<double>{1.5, 2.5});
  CHECK_NOTHROW(check_rollouts(part));
  CHECK(rollouts.slice(2, 2).size() == 0);

  // What is not known stays unknown.
  const sampled_rollouts bare{.prompts = rollouts.prompts, .responses = rollouts.responses};
  const auto rest = bare.slice(0, 2);
  CHECK((rest.finished.empty() && rest.log_probs.empty() && rest.texts.empty() && rest.scores.empty()));
  CHECK_NOTHROW(check_rollouts(bare));
  CHECK_NOTHROW(check_rollouts(sampled_rollouts{}));
}

TEST_CASE("rollouts that do not fit are refused, with what is wrong") {
  const auto message = [](const std::function<void(sampled_rollouts&)>& spoil) {
    auto rollouts = three_rollouts();
    spoil(rollouts);
    try {
      check_rollouts(rollouts);
    } catch (const argument_error& problem) {
      return std::string(problem.what());
    }
    return std::string("taken");
  };
  CHECK(message([](auto&) {}) == "taken");
  CHECK_THAT(message([](auto& r) { r.responses.push_back({1}); }),
             ContainsSubstring("4 responses where 3 were expected, one per prompt"));
  CHECK_THAT(message([](auto& r) { r.responses = {{7, 0}, {}, {9, 9, 0}}; }), ContainsSubstring("response 1 is empty"));
  CHECK_THAT(message([](auto& r) { r.responses.values.pop_back(); }), ContainsSubstring("offsets of the responses"));
  CHECK_THAT(message([](auto& r) { r.prompts[2].key = 4; }), ContainsSubstring("prompts 0 and 2 have the same key 4"));
  CHECK_THAT(message([](auto& r) { r.prompts[1].tokens.clear(); }), ContainsSubstring("prompt 1 has no tokens"));
  CHECK_THAT(message([](auto& r) { r.finished.pop_back(); }), ContainsSubstring("2 finished flags where 3"));
  CHECK_THAT(message([](auto& r) { r.finished[2] = 7; }), ContainsSubstring("finished flag 2 is neither 0 nor 1"));
  CHECK_THAT(message([](auto& r) { r.texts.pop_back(); }), ContainsSubstring("2 texts where 3"));
  CHECK_THAT(message([](auto& r) { r.scores.pop_back(); }), ContainsSubstring("2 scores where 3"));
  CHECK_THAT(message([](auto& r) { r.scores[1] = std::nan(""); }), ContainsSubstring("score 1 is not finite"));
  CHECK_THAT(message([](auto& r) { r.log_probs.pop_back(); }),
             ContainsSubstring("5 log_probs where 6 were expected, one per response token"));
  CHECK_THAT(message([](auto& r) { r.log_probs[3] = -std::numeric_limits<double>::infinity(); }),
             ContainsSubstring("log-probability 3 of the sampler is not finite"));
}
