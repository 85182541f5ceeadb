#include <coho/prompt/reward_prompt.hpp>

#include <vector>

#include "support/catch.hpp"

using coho::prompt_template;
using coho::template_kind;

TEST_CASE("principles become a list, one a line") {
  const coho::reward_prompt prompt(
      prompt_template(template_kind::reward, "{Output} <- {Input}\n{Dimensions}\nIt is", "r"));
  CHECK(prompt.takes_principles());
  CHECK(prompt("q", "a", std::vector<std::string>{"Be kind.", "Be\nbrief."}) ==
        "a <- q\n- Be kind.\n- Be brief.\nIt is");
  CHECK(prompt("q", "a", std::vector<const char*>{"One."}) == "a <- q\n- One.\nIt is");
  CHECK(prompt("{Dimensions}", "{Input}", std::vector<std::string>{"{Output}"}) ==
        "{Input} <- {Dimensions}\n- {Output}\nIt is");
}

TEST_CASE("preference pre-training has no principles") {
  const coho::reward_prompt prompt(prompt_template(template_kind::preference_pretraining, "{Output} <- {Input}", "p"));
  CHECK_FALSE(prompt.takes_principles());
  CHECK(prompt("q", "a") == "a <- q");
  CHECK_THROWS_AS(prompt("q", "a", std::vector<std::string>{"Be kind."}), coho::argument_error);
  CHECK_THROWS_AS(coho::reward_prompt(prompt_template(template_kind::inference, "{Input}", "i")), coho::argument_error);
}
