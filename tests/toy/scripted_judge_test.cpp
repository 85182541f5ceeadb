#include <string>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/toy/scripted_judge.hpp>

#include "support/catch.hpp"

using namespace coho;

TEST_CASE("a scripted judge says what its script says") {
  toy::scripted_judge judge([](std::string_view prompt) { return static_cast<double>(prompt.size()); });
  STATIC_REQUIRE(choice_judge<decltype(judge)>);
  CHECK(judge.log_odds(std::vector<std::string>{"ab", ""}, "a", "b") == std::vector<double>{2, 0});
}
