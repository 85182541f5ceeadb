#include "chat/chat_input.hpp"

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
