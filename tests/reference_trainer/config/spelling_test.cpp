#include "config/spelling.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

TEST_CASE("edit distance counts a swap of neighbours as one") {
  using coho::trainer::edit_distance;
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("gamma", "gamam") == 1);
  const std::vector<std::string> names{"sample", "judge", "ppo"};
  CHECK(coho::trainer::nearest("smaple", names) == "sample");
  CHECK(coho::trainer::nearest("aggregate", names).empty());
}

TEST_CASE("control characters are escaped, other bytes stay") {
  CHECK(coho::trainer::escape_controls("a\nb\tc\x1b é\x7f") == "a\\nb\\tc\\x1b é\\x7f");
  CHECK(coho::trainer::escape_controls("") == "");
}

TEST_CASE("a number is spelled in the fewest digits that read back as it") {
  CHECK(coho::trainer::shortest_text(0.1) == "0.1");
  CHECK(coho::trainer::shortest_text(1e-8) == "1e-08");
  CHECK(coho::trainer::shortest_text(2) == "2");
}

TEST_CASE("spelling: a key of the same name elsewhere, or a typo in the last name") {
  const std::vector<std::string> known{"ppo.gae.gamma", "ppo.steps", "sft.gamma", "sft.epochs"};
  CHECK(coho::trainer::likely_key("ppo.gamma", known) == "ppo.gae.gamma");
  CHECK(coho::trainer::likely_key("reward.gamma", known) == "ppo.gae.gamma");
  CHECK(coho::trainer::likely_key("ppo.clip.stepz", known) == "ppo.steps");
  CHECK(coho::trainer::likely_key("ppo.zebra", known).empty());
}
