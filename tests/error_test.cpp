#include <string>

#include <coho/error.hpp>

#include "support/catch.hpp"

using namespace coho;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("an option error names option, value and range") {
  CHECK_THROWS_WITH(require_option(false, "clip_low", -0.5, "in (0, 1)"),
                    ContainsSubstring("clip_low") && ContainsSubstring("-0.5") && ContainsSubstring("in (0, 1)"));
  CHECK_THROWS_AS(require_option(false, "clip_low", 2, "in (0, 1)"), option_error);
  CHECK_NOTHROW(require_option(true, "clip_low", 0.2, "in (0, 1)"));
  CHECK(option_error("policy_clip.clip_low", 2, "in (0, 1)").option() == "policy_clip.clip_low");
}

TEST_CASE("an argument error says what does not fit") {
  CHECK_THROWS_WITH(require_argument(false, "lengths differ"), "lengths differ");
  CHECK_NOTHROW(require_argument(true, "lengths differ"));
}

TEST_CASE("a file error names path, place and mend") {
  const file_error with_all("a.json", "line 3", "no such key", "add it");
  CHECK(std::string(with_all.what()) == "a.json: line 3: no such key; add it");
  CHECK(with_all.path() == "a.json");
  CHECK(with_all.place() == "line 3");
  CHECK(std::string(file_error("a.json", "", "is empty").what()) == "a.json: is empty");
}

TEST_CASE("all are coho::error") {
  CHECK_THROWS_AS(throw option_error("a", 1, "2"), error);
  CHECK_THROWS_AS(throw argument_error("a"), error);
  CHECK_THROWS_AS(throw file_error("a", "b", "c"), error);
}
