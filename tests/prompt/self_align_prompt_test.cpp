#include <coho/prompt/self_align_prompt.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::prompt_template;
using coho::self_align_exemplar;
using coho::self_align_prompt;
using coho::self_align_reply;
using coho::template_kind;

namespace {

const std::vector<coho::principle> rules{{"kind", "Be kind."}, {"brief", "Say it\nin few words."}};
const std::vector<self_align_exemplar> exemplars{{"q1", "I am X. Rule 1 (kind).", "a1"},
                                                 {"q2", "I am X. Rule 2 (brief).", "a2"}};
const std::string form =
    "Rules:\n{Rules}\n\n{Exemplars}\n\n### User\n{Input}\n\n### X (thoughts)\n{Thoughts}\n\n### X\n{Answer}";

self_align_prompt make(const std::string& text, const std::vector<self_align_exemplar>& shown = exemplars) {
  return {prompt_template(template_kind::self_align, text, "s.txt"), rules, shown};
}

}  // namespace

TEST_CASE("self_align_prompt: rules, exemplars in the question's own form, the question") {
  const auto prompt = make(form);
  const std::string before =
      "Rules:\n1 (kind): Be kind.\n2 (brief): Say it in few words.\n\n"
      "### User\nq1\n\n### X (thoughts)\nI am X. Rule 1 (kind).\n\n### X\na1\n\n"
      "### User\nq2\n\n### X (thoughts)\nI am X. Rule 2 (brief).\n\n### X\na2\n\n### User\n";
  CHECK(prompt.prefix() == before);
  CHECK(prompt("why {Rules}?") == before + "why {Rules}?\n\n### X (thoughts)\n");
  CHECK(prompt.stop() == "### User");
  CHECK(prompt.thoughts_opening() == "I am X.");
  CHECK(prompt.exemplars() == exemplars);
}

TEST_CASE("self_align_prompt: text behind the answer ends each exemplar; spaces at a prompt's end are the model's") {
  const auto prompt = make("{Rules} {Exemplars} Q: {Input} T: {Thoughts} A: {Answer} (end)");
  CHECK(prompt("?").ends_with("A: a1 (end) Q: q2 T: I am X. Rule 2 (brief). A: a2 (end) Q: ? T:"));
  CHECK(prompt.stop() == "Q:");
}

TEST_CASE("self_align_prompt: what was written is taken apart at the answer's heading") {
  const auto prompt = make(form);
  CHECK(prompt.parse(" t\n\n### X\n a \n") == self_align_reply{"t", "a", true});
  CHECK(prompt.parse("t\n### X") == self_align_reply{"t", "", true});
  CHECK(prompt.parse("t") == self_align_reply{"t", "", false});
  CHECK(prompt.parse("") == self_align_reply{"", "", false});
  // The heading of thoughts and a heading within a line are none of an answer.
  CHECK_FALSE(prompt.parse("t\n### X (thoughts)\na").answered);
  CHECK_FALSE(prompt.parse("see ### X\na").answered);
  CHECK(prompt.parse("t ### X\nu\n  ### X  \r\na") == self_align_reply{"t ### X\nu", "a", true});
  CHECK(make("{Rules}{Exemplars} Q:{Input} T:{Thoughts} A:{Answer}").parse("t A: a") ==
        self_align_reply{"t", "a", true});
}

TEST_CASE("self_align_prompt: headings are found where they are headings") {
  const auto prompt = make(form);
  CHECK(prompt.contains_heading("a\n### X\nb"));
  CHECK(prompt.contains_heading("a\n### X (thoughts)\nb"));
  CHECK(prompt.contains_heading("### User\nb"));
  CHECK_FALSE(prompt.contains_heading("the mark ### X stands here"));
  CHECK_FALSE(prompt.contains_heading("### Xylophones\nwood"));
}

TEST_CASE("self_align_prompt: the opening is what all thoughts begin with, to the end of a sentence or word") {
  const auto opening = [](const std::string& a, const std::string& b) {
    return make(form, {{"q", a, "a"}, {"q", b, "a"}}).thoughts_opening();
  };
  CHECK(opening("Hi there. I see", "Hi there. It is") == "Hi there.");
  CHECK(opening("One. Two! x", "One. Two! y") == "One. Two!");
  CHECK(opening("to be sure", "to be sunk") == "to be");
  CHECK(opening("abc", "abd") == "");
  CHECK(opening("x", "y") == "");
  CHECK(make(form, {exemplars[0]}).thoughts_opening() == "");
}

TEST_CASE("self_align_prompt: templates that cannot serve are refused, naming file and placeholder") {
  CHECK_THROWS_WITH(make("{Rules}{Exemplars}T:{Thoughts}A:{Answer}"),
                    ContainsSubstring("s.txt: placeholder {Input}: missing from a self_align template"));
  CHECK_THROWS_WITH(make("{Exemplars}{Rules}Q:{Input}T:{Thoughts}A:{Answer}"),
                    ContainsSubstring("s.txt: placeholder {Exemplars}: stands where {Rules} belongs"));
  CHECK_THROWS_WITH(make("{Rules}{Exemplars}\n{Input}T:{Thoughts}A:{Answer}"),
                    ContainsSubstring("placeholder {Input}: has no words before it"));
  CHECK_THROWS_WITH(make("{Rules}{Exemplars}Q:{Input}T:{Thoughts}\n{Answer}"),
                    ContainsSubstring("placeholder {Answer}: has no words before it"));
  CHECK_NOTHROW(make("{Rules}{Exemplars}Q:{Input}\n{Thoughts}A:{Answer}"));
  CHECK_THROWS_AS(make(form, {}), coho::argument_error);
  CHECK_THROWS_AS(self_align_prompt(prompt_template(template_kind::self_align, form, "s.txt"),
                                    std::vector<coho::principle>{}, exemplars),
                  coho::argument_error);
  CHECK_THROWS_AS(self_align_prompt(prompt_template(template_kind::inference, "{Input}", "i.txt"), rules, exemplars),
                  coho::argument_error);
}
