#include "unicode/unicode_text.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("texts that differ only in case and white space have one normal form") {
  CHECK(normalize_for_comparison("  Write\n\nA  Poem ") == "write a poem");
  CHECK(normalize_for_comparison("ÜBER ΣΟΦΊΑ ПРИВЕТ") == normalize_for_comparison("über\u00A0σοφία\tпривет"));
  CHECK(normalize_for_comparison("a b") != normalize_for_comparison("ab"));
  CHECK(normalize_for_comparison("a?") != normalize_for_comparison("a"));
  CHECK(normalize_for_comparison("写诗") == "写诗");
  CHECK(normalize_for_comparison("İ") == to_lower_case("İ"));
  CHECK(normalize_for_comparison(" \n").empty());
}
