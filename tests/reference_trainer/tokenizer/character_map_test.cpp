#include "tokenizer/character_map.hpp"

#include <string>

#include "reference_trainer/tokenizer/model_bytes.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string strings("a\0", 2);

}  // namespace

TEST_CASE("character_map: an empty and a small map are in order") {
  CHECK(check_character_map("").empty());
  CHECK(check_character_map(character_map(units_of_small_map(), strings)) == "");
}

TEST_CASE("character_map: sizes that do not fit") {
  CHECK_THAT(check_character_map("abc"), ContainsSubstring("too short"));
  CHECK_THAT(check_character_map(word32(4) + "1234"), ContainsSubstring("end after the map"));
  CHECK_THAT(check_character_map(word32(0xFFFFFFFF) + "1234"), ContainsSubstring("end after the map"));
  CHECK_THAT(check_character_map(word32(3) + "1234"), ContainsSubstring("multiple of a unit"));
  CHECK_THAT(check_character_map(word32(0) + std::string("\0", 1)), ContainsSubstring("empty"));
  CHECK_THAT(check_character_map(character_map(units_of_small_map(), "a")), ContainsSubstring("not terminated"));
}

TEST_CASE("character_map: a trie that points outside, goes round or matches too much") {
  auto units = units_of_small_map();
  units[0] = 300u << 10;
  CHECK_THAT(check_character_map(character_map(units, strings)), ContainsSubstring("outside itself"));
  units = units_of_small_map();
  units.resize(200);
  CHECK_THAT(check_character_map(character_map(units, strings)), ContainsSubstring("outside itself"));
  units = units_of_small_map();
  units[64] = 1000u << 10 | 65;
  CHECK_THAT(check_character_map(character_map(units, strings)), ContainsSubstring("outside itself"));
  units = units_of_small_map();
  units[128] = 1u << 31 | 2;
  CHECK_THAT(check_character_map(character_map(units, strings)), ContainsSubstring("outside its strings"));
  units = units_of_small_map();
  units[64] = (64u ^ 1u) << 10 | 65;  // back to the root's children
  CHECK_THAT(check_character_map(character_map(units, strings)), ContainsSubstring("a cycle"));

  // A chain of n nodes under the label 1, each with a value: node i has its base at 256·i + 2, its child at 256·i + 3.
  for (const auto& [length, in_order] : {std::pair(31u, true), std::pair(40u, false)}) {
    std::vector<std::uint32_t> chain(256 * (length + 1), 0);
    chain[0] = 2u << 10;
    for (std::uint32_t i = 0; i < length; ++i) {
      const auto child = 256 * i + 3, base = 256 * (i + 1) + 2;
      chain[child] = (child ^ base) << 10 | 1u << 8 | 1;
      chain[base] = 1u << 31;
    }
    CAPTURE(length);
    CHECK(check_character_map(character_map(chain, strings)).empty() == in_order);
  }
}
