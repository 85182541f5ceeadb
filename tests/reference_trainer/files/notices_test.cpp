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
