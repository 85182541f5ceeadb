#include <coho/prompt/template.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::prompt_template;
using coho::template_kind;

TEST_CASE("placeholders are replaced, all other text stays") {
  const prompt_template t(template_kind::reward, "a {Output} b {Input} c\n{Dimensions}\nend", "r.txt");
  CHECK(t.render({{"Input", "I"}, {"Output", "O"}, {"Dimensions", "- D"}}) == "a O b I c\n- D\nend");
  CHECK(t.shared_prefix() == "a ");
  CHECK(t.tail() == "\nend");
  CHECK(t.kind() == template_kind::reward);
  CHECK(t.uses("Input"));
  CHECK_FALSE(t.uses("OutputA"));
}

TEST_CASE("values are never expanded again") {
  const prompt_template t(template_kind::reward, "{Input}|{Output}|{Dimensions}", "r.txt");
  CHECK(t.render({{"Input", "{Output}"}, {"Output", "{Dimensions} {{Input}} {Foo}"}, {"Dimensions", "{Input}"}}) ==
        "{Output}|{Dimensions} {{Input}} {Foo}|{Input}");
}

TEST_CASE("braces that make no placeholder are text, doubled ones around a name too") {
  const prompt_template t(template_kind::preference_pretraining,
                          "{ } {} {1} {a b} {\"k\": {}} {{Foo}} {{Input}} {Input}{Output}{", "p.txt");
  CHECK(t.render({{"Input", "I"}, {"Output", "O"}}) == "{ } {} {1} {a b} {\"k\": {}} {Foo} {Input} IO{");
}

TEST_CASE("line breaks at the end of a template are dropped") {
  CHECK(prompt_template(template_kind::inference, "Hello: {Input}\nBye\r\n\n", "i.txt").render({{"Input", "x"}}) ==
        "Hello: x\nBye");
  CHECK(prompt_template(template_kind::inference, "No placeholder \n", "i.txt").render({{"Input", "x"}}) ==
        "No placeholder ");
  CHECK(prompt_template(template_kind::inference, "", "i.txt").render({}).empty());
}

TEST_CASE("unknown, missing and repeated placeholders are named with file and line") {
  CHECK_THROWS_WITH(prompt_template(template_kind::reward, "{Input}\n{Output}\nx {Dimension}", "my/r.txt"),
                    ContainsSubstring("my/r.txt: line 3, placeholder {Dimension}: unknown in a reward template") &&
                        ContainsSubstring("{Dimensions}"));
  CHECK_THROWS_WITH(prompt_template(template_kind::reward, "{Input}{Output}", "r.txt"),
                    ContainsSubstring("r.txt: placeholder {Dimensions}: missing from a reward template"));
  CHECK_THROWS_WITH(prompt_template(template_kind::preference_pretraining, "{Input}{Output}\n{Input}", "p.txt"),
                    ContainsSubstring("p.txt: line 2, placeholder {Input}: the placeholder occurs a second time"));
  CHECK_THROWS_AS(prompt_template(template_kind::inference, "{Input}{Input}", "i.txt"), coho::file_error);
  CHECK_THROWS_AS(prompt_template(template_kind::inference, "{Output}", "i.txt"), coho::file_error);
  CHECK_THROWS_AS(prompt_template(template_kind::preference_pretraining, "{Input}{Output}{Dimensions}", "p.txt"),
                  coho::file_error);
}

TEST_CASE("the dimension may repeat in a judge template, and only that") {
  const std::string text = "{UserInstruction} {OutputA} {OutputB} {Dimension}: {Definition}, {Dimension} (";
  const prompt_template t(template_kind::judge, text, "j.txt");
  CHECK(t.render(
            {{"UserInstruction", "U"}, {"OutputA", "A"}, {"OutputB", "B"}, {"Dimension", "D"}, {"Definition", "F"}}) ==
        "U A B D: F, D (");
  CHECK_THROWS_AS(prompt_template(template_kind::judge, text + "{OutputA}", "j.txt"), coho::file_error);
  CHECK_THROWS_WITH(
      prompt_template(template_kind::judge, "{UserInstruction} {OutputA} {OutputB} {Definition}", "j.txt"),
      ContainsSubstring("{Dimension}"));
}

TEST_CASE("rendering asks for a value for each placeholder and for no other name") {
  const prompt_template t(template_kind::preference_pretraining, "{Input}{Output}", "p.txt");
  CHECK_THROWS_WITH(t.render({{"Input", "x"}}), ContainsSubstring("p.txt: no value for placeholder {Output}"));
  CHECK_THROWS_WITH(t.render({{"Input", "x"}, {"Output", "y"}, {"Dimensions", "z"}}),
                    ContainsSubstring("no placeholder {Dimensions} in a preference_pretraining template"));
}

TEST_CASE("placeholders are told in their order, with the text in front of each") {
  const prompt_template t(template_kind::reward, "a {Output} b {Input} c\n{Dimensions}\nend", "r.txt");
  CHECK(t.placeholders() == std::vector<std::string_view>{"Output", "Input", "Dimensions"});
  CHECK(t.text_before("Input") == " b ");
  CHECK(t.text_before("Output") == "a ");
  CHECK(t.text_before("Nothing") == "");
}
