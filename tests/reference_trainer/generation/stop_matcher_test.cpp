#include "generation/stop_matcher.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("stop_matcher: finds stop strings within and across tokens") {
  const std::vector<std::string> stops{"### User", "\n\n"};
  stop_matcher across(stops);
  CHECK_FALSE(across.add("well ##"));
  CHECK_FALSE(across.add("# Us"));
  CHECK(across.add("er and more"));
  stop_matcher within(stops);
  CHECK(within.add("a\n\nb"));
  stop_matcher bytes(stops);
  CHECK_FALSE(bytes.add("x\n"));
  CHECK_FALSE(bytes.add(" "));
  CHECK_FALSE(bytes.add("\n"));
  CHECK_FALSE(bytes.add(""));
  CHECK(bytes.add("\n"));
  const std::vector<std::string> one{"a"};
  stop_matcher single(one);
  CHECK_FALSE(single.add("b"));
  CHECK(single.add("ba"));
}

TEST_CASE("before_stop: cuts at the first stop string") {
  CHECK(before_stop("one two three", {"three", "two"}) == "one ");
  CHECK(before_stop("one", {"two", ""}) == "one");
  CHECK(before_stop("two", {"two"}).empty());
}
