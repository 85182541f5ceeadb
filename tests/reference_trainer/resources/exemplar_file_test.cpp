#include "resources/exemplar_file.hpp"

#include <regex>

#include <coho/error.hpp>

#include "resources/principle_file.hpp"
#include "resources/template_file.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"
#include "text/text_units.hpp"

using Catch::Matchers::ContainsSubstring;
using coho::self_align_exemplar;
using coho::trainer::load_exemplars;

namespace {

std::vector<self_align_exemplar> load_exemplar_text(std::string_view content) {
  const coho::test::temporary_directory folder;
  coho::test::write_bytes(folder / "e.json", content);
  return load_exemplars(folder / "e.json");
}

const auto data = coho::test::source_dir() / "reference_trainer";

}  // namespace

TEST_CASE("exemplars are read, an input below its question") {
  // In parentheses: the lists are compared, not printed.
  CHECK((load_exemplar_text(R"([{"question": "q", "thoughts": "t", "answer": "a"},
                      {"question": "q", "input": "i", "thoughts": "t", "answer": "a"}])") ==
         std::vector<self_align_exemplar>{{"q", "t", "a"}, {"q\n\ni", "t", "a"}}));
}

TEST_CASE("exemplar files that cannot be used are refused, naming the entry") {
  CHECK_THROWS_WITH(load_exemplar_text(R"({"question": "q"})"),
                    ContainsSubstring("e.json: is not a JSON array of exemplars"));
  CHECK_THROWS_WITH(load_exemplar_text("[]"), ContainsSubstring("has no exemplars"));
  CHECK_THROWS_WITH(load_exemplar_text("[1]"), ContainsSubstring("entry 1: is not a JSON object"));
  const std::string good = R"([{"question": "q", "thoughts": "t", "answer": "a"}, )";
  CHECK_THROWS_WITH(load_exemplar_text(good + R"({"question": "q", "thoughts": "t"}])"),
                    ContainsSubstring("entry 2: has no \"answer\""));
  CHECK_THROWS_WITH(load_exemplar_text(good + R"({"question": " ", "thoughts": "t", "answer": "a"}])"),
                    ContainsSubstring("entry 2: \"question\" is empty"));
  CHECK_THROWS_WITH(load_exemplar_text(good + R"({"question": "q", "thoughts": 3, "answer": "a"}])"),
                    ContainsSubstring("entry 2: \"thoughts\" is not a string"));
  CHECK_THROWS_WITH(load_exemplar_text(good + R"({"question": "q", "thougts": "t", "answer": "a"}])"),
                    ContainsSubstring("entry 2: has an unknown member \"thougts\""));
  CHECK_THROWS_WITH(load_exemplar_text("[{"), ContainsSubstring("is not a JSON document"));
}

TEST_CASE("the shipped exemplars cite the shipped rules by number and name, and fit their template") {
  const auto rules = coho::trainer::load_principles(data / "principles" / "self_align.json");
  const auto exemplars = load_exemplars(data / "prompts" / "self_align_exemplars.json");
  CHECK(rules.size() == 17);
  REQUIRE(exemplars.size() == 6);
  const std::regex cited(R"((\d+) \(([a-z -]+)\))");
  for (const auto& exemplar : exemplars) {
    CAPTURE(exemplar.question);
    std::size_t rules_cited = 0;
    for (std::sregex_iterator at(exemplar.thoughts.begin(), exemplar.thoughts.end(), cited), end; at != end; ++at) {
      ++rules_cited;
      const auto number = std::stoul((*at)[1]);
      REQUIRE((number >= 1 && number <= rules.size()));
      CHECK(rules[number - 1].name == (*at)[2]);
    }
    CHECK(rules_cited >= 2);
  }
  const coho::self_align_prompt prompt(
      coho::trainer::load_template(coho::template_kind::self_align, data / "prompts" / "self_align.txt"), rules,
      exemplars);
  CHECK(prompt.thoughts_opening() == "I am Dromedary and keep to my rules.");
  CHECK(prompt.stop() == "### User");  // that of the chat form in which the pairs are learned
  CHECK(prompt("Why?").ends_with("### User\nWhy?\n\n### Dromedary (internal thoughts)\n"));
  // One of them answers Chinese in Chinese: its characters are words of their own.
  CHECK(coho::trainer::text_units(exemplars[1].answer).size() > exemplars[1].answer.size() / 5);
}
