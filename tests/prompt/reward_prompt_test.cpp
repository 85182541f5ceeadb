#include <string>
#include <vector>

#include <coho/principle/intervention.hpp>
#include <coho/prompt/reward_prompt.hpp>

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

TEST_CASE("a reward model is asked with the text that it was trained on") {
  const coho::reward_prompt prompt(
      prompt_template(template_kind::reward, "{Output} <- {Input}\n{Dimensions}\nIt is", "r"));
  coho::rng random(1);
  for (const std::string text :
       {"Say it\nplainly.\r\n", "\nSay it plainly. ", "Say it \r\n plainly.\n\n", "Say it plainly."}) {
    CAPTURE(text);
    const std::vector<std::string> trained{text};
    const auto asked = coho::compose_guideline({}, trained, coho::intervention_position::first, random);
    CHECK(prompt("q", "a", trained) == prompt("q", "a", asked));
    const auto intervened = coho::compose_guideline(coho::intervention_set{{"Plain", text}}, std::vector<std::string>{},
                                                    coho::intervention_position::first, random);
    CHECK(prompt("q", "a", trained) == prompt("q", "a", intervened));
  }
  CHECK(prompt("q", "a", std::vector<std::string>{"Say it\nplainly.\r\n"}) == "a <- q\n- Say it plainly.\nIt is");
}

TEST_CASE("preference pre-training has no principles") {
  const coho::reward_prompt prompt(prompt_template(template_kind::preference_pretraining, "{Output} <- {Input}", "p"));
  CHECK_FALSE(prompt.takes_principles());
  CHECK(prompt("q", "a") == "a <- q");
  CHECK_THROWS_AS(prompt("q", "a", std::vector<std::string>{"Be kind."}), coho::argument_error);
  CHECK_THROWS_AS(coho::reward_prompt(prompt_template(template_kind::inference, "{Input}", "i")), coho::argument_error);
}
