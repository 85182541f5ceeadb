#include "text/text_stream.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("text_stream: holds back what may become a stop string") {
  text_stream shown({"### User", "END"}, true);
  CHECK(shown.add(" \n").empty());
  CHECK(shown.add(" Hello #") == "Hello ");
  CHECK(shown.add("1 ##") == "#1 ");
  CHECK(shown.add("# Us").empty());
  CHECK(shown.add("e E").starts_with("### Use "));
  CHECK(shown.add("ND more").empty());
  CHECK(shown.add("and more").empty());
  CHECK(shown.finish().empty());
}

TEST_CASE("text_stream: shows whole characters only, and the rest at the end") {
  text_stream shown({"xyz"});
  CHECK(shown.add(" a\xE2") == " a");
  CHECK(shown.add("\x82").empty());
  CHECK(shown.add("\xACx") == "\xE2\x82\xAC");
  CHECK(shown.add("y").empty());
  CHECK(shown.finish() == "xy");
}

TEST_CASE("text_stream: bytes that make no character are shown as U+FFFD, and nothing else is changed") {
  text_stream shown({"END"});
  CHECK(shown.add("a\xFF\x80") == "a\uFFFD\uFFFD");
  CHECK(shown.add("\xE2\x82").empty());
  CHECK(shown.add("b\xE2\x82\xAC") == "\uFFFD\uFFFDb\u20AC");
  CHECK(shown.add("\xF0\x9F").empty());
  CHECK(shown.finish() == "\uFFFD\uFFFD");
}
