#include <string>
#include <vector>

#include <coho/generation.hpp>

#include "support/catch.hpp"

using coho::generation_options;

TEST_CASE("generation options have ranges, and banned tokens are not the user's to say") {
  const generation_options options;
  std::vector<std::string> names;
  generation_options::describe([&](const coho::option& about, const auto&) { names.emplace_back(about.name); },
                               options);
  CHECK(names ==
        std::vector<std::string>{"max_new_tokens", "temperature", "top_k", "top_p", "stop", "unfinished_stop"});

  CHECK_NOTHROW(coho::validate(options));
  CHECK_NOTHROW(coho::validate(generation_options{.temperature = 0}));
  CHECK_THROWS_AS(coho::validate(generation_options{.max_new_tokens = 0}), coho::option_error);
  CHECK_THROWS_AS(coho::validate(generation_options{.temperature = -0.5}), coho::option_error);
  CHECK_THROWS_AS(coho::validate(generation_options{.top_p = 0}), coho::option_error);
  CHECK_THROWS_AS(coho::validate(generation_options{.top_p = 1.5}), coho::option_error);
}
