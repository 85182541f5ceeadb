#include "files/notices.hpp"

#include "support/catch.hpp"
#include "support/heard_notices.hpp"

using coho::trainer::notices;

TEST_CASE("notices: a line is said once to who listens, and to no one afterwards") {
  notices::setting().say("before");
  {
    const coho::test::heard_notices heard;
    notices::setting().say("one");
    notices::setting().say("one");
    notices::setting().say("two");
    CHECK(heard.lines() == std::vector<std::string>{"one", "two"});
  }
  notices::setting().say("after");
  const coho::test::heard_notices again;
  notices::setting().say("one");
  CHECK(again.text() == "one\n");
}

TEST_CASE("notices: of a topic only the first line is said, until there is another listener") {
  {
    const coho::test::heard_notices heard;
    notices::setting().say_first("length", "70 tokens");
    notices::setting().say_first("length", "80 tokens");
    notices::setting().say_first("width", "80 tokens");
    notices::setting().say("80 tokens");
    CHECK(heard.lines() == std::vector<std::string>{"70 tokens", "80 tokens", "80 tokens"});
  }
  const coho::test::heard_notices again;
  notices::setting().say_first("length", "90 tokens");
  CHECK(again.text() == "90 tokens\n");
}
