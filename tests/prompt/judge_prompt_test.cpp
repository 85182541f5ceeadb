#include <coho/prompt/judge_prompt.hpp>

#include "support/catch.hpp"

using coho::prompt_template;
using coho::template_kind;

TEST_CASE("a judge prompt ends where the letter follows") {
  const coho::judge_prompt prompt(prompt_template(
      template_kind::judge,
      "Ask: {UserInstruction}\n(a) {OutputA}\n(b) {OutputB}\n{Dimension} = {Definition}\nBetter: (\n", "j"));
  CHECK(prompt("q", "one", "two", "Short", "Few words.") == "Ask: q\n(a) one\n(b) two\nShort = Few words.\nBetter: (");
  CHECK(prompt.first_answer == "a");
  CHECK(prompt.second_answer == "b");
  CHECK(prompt("{OutputB}", "{Dimension}", "two", "Short", "x").starts_with("Ask: {OutputB}\n(a) {Dimension}\n"));
}

TEST_CASE("a judge reads a principle on one line, and the texts as they are") {
  const coho::judge_prompt prompt(prompt_template(
      template_kind::judge,
      "Ask: {UserInstruction}\n(a) {OutputA}\n(b) {OutputB}\n{Dimension} = {Definition}\nBetter: (\n", "j"));
  CHECK(prompt("q\n", "one\ntwo", "three ", "Short\n", "Few\nwords.\r\n") ==
        "Ask: q\n\n(a) one\ntwo\n(b) three \nShort = Few words.\nBetter: (");
}

TEST_CASE("templates that are no judge's are refused") {
  CHECK_THROWS_AS(coho::judge_prompt(prompt_template(
                      template_kind::judge, "{UserInstruction}{OutputA}{OutputB}{Dimension}{Definition}Better:", "j")),
                  coho::argument_error);
  CHECK_THROWS_AS(coho::judge_prompt(prompt_template(template_kind::inference, "(", "i")), coho::argument_error);
}
