#include <string>

#include <coho/principle/single_line.hpp>

#include "support/catch.hpp"

using coho::single_line;

TEST_CASE("line breaks of every kind become one space, and white space around a text goes") {
  CHECK(single_line("Say it\nplainly.\r\n") == "Say it plainly.");
  CHECK(single_line("one\r\ntwo\n\nthree\n") == "one two three");
  CHECK(single_line("\n \tone \ntwo\t ") == "one two");
  CHECK(single_line("two  spaces\tand a tab stay") == "two  spaces\tand a tab stay");
  CHECK(single_line("") == "");
  CHECK(single_line(" \r\n\t") == "");
}

TEST_CASE("a clean line is not changed again") {
  for (const std::string text : {"a\n b", "a \n b", "\r\ra\r\n\r\nb \n", "a\t\n\tb"}) {
    CAPTURE(text);
    const std::string once = single_line(text);
    CHECK(single_line(once) == once);
    CHECK(once.find('\n') == std::string::npos);
    CHECK(once.find('\r') == std::string::npos);
  }
}
