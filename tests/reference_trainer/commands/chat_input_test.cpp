#include "commands/chat_input.hpp"

#include <unistd.h>

#include <csignal>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("chat: commands and questions are told apart") {
  CHECK(parse_command("/new").name == "new");
  const auto save = parse_command("  /save  my talk.json \t");
  CHECK(save.name == "save");
  CHECK(save.argument == "my talk.json");
  CHECK(parse_command("/system").argument.empty());
  for (const char* question : {"", "new", "what does /new do?", "/etc/hosts: what is it?", "/", "/ new", "/3", "//"})
    CHECK(parse_command(question).name.empty());
}

TEST_CASE("chat: Ctrl-C is a wish while one lives") {
  struct ::sigaction before {
  }, after{};
  ::sigaction(SIGINT, nullptr, &before);
  {
    ctrl_c wish(true);
    CHECK_FALSE(wish.pending());
    for (int i = 0; i < 2; ++i) {
      ::raise(SIGINT);
      CHECK(wish.pending());
      CHECK(wish.take());
      CHECK_FALSE(wish.take());
    }
  }
  ::sigaction(SIGINT, nullptr, &after);
  CHECK(before.sa_handler == after.sa_handler);
  CHECK_FALSE(ctrl_c(false).pending());
}

TEST_CASE("chat: input is waited for a while") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  CHECK_FALSE(ctrl_c::has_input(ends[0]));
  REQUIRE(::write(ends[1], "a", 1) == 1);
  CHECK(ctrl_c::has_input(ends[0]));
  char read_back = 0;
  REQUIRE(::read(ends[0], &read_back, 1) == 1);
  ::close(ends[1]);
  CHECK(ctrl_c::has_input(ends[0]));  // the end of the input
  ::close(ends[0]);
}
