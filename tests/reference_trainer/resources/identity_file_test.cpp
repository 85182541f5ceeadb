#include "resources/identity_file.hpp"

#include <algorithm>
#include <set>

#include <coho/error.hpp>

#include "files/data_files.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<sft_record> identity_of(std::string_view content, const assistant_identity& identity = {"Ada", "us"}) {
  const coho::test::temporary_directory folder;
  coho::test::write_bytes(folder / "i.json", content);
  return load_identity_records(folder / "i.json", identity);
}

}  // namespace

TEST_CASE("identity: each question goes with each answer, name and maker filled in") {
  const auto records =
      identity_of(R"([{"questions":["Who?","What is {name}?"],"answers":["I am {name}, by {maker}, {name}.","Me."]}])");
  REQUIRE(records.size() == 4);
  CHECK(records[0].prompt.instruction == "Who?");
  CHECK(records[0].response == "I am Ada, by us, Ada.");
  CHECK(records[1].prompt.instruction == "What is Ada?");
  CHECK(records[1].response == records[0].response);
  CHECK(records[2].response == "Me.");
  // What is filled in is no template.
  CHECK(identity_of(R"([{"questions":["Who?"],"answers":["{name}"]}])", {"{maker}", "us"})[0].response == "{maker}");
}

TEST_CASE("identity files that cannot be used are refused, naming the entry") {
  CHECK_THROWS_WITH(identity_of("{}"), ContainsSubstring("i.json: is not a JSON array"));
  CHECK_THROWS_WITH(identity_of("[]"), ContainsSubstring("has no questions"));
  const std::string fair = R"([{"questions":["a"],"answers":["b"]},)";
  CHECK_THROWS_WITH(identity_of(fair + "1]"), ContainsSubstring("entry 2: is not a JSON object"));
  CHECK_THROWS_WITH(identity_of(fair + R"({"questions":["a"]}])"), ContainsSubstring("entry 2: has no \"answers\""));
  CHECK_THROWS_WITH(identity_of(fair + R"({"questions":[],"answers":["b"]}])"), ContainsSubstring("list of texts"));
  CHECK_THROWS_WITH(identity_of(fair + R"({"questions":["a",1],"answers":["b"]}])"), ContainsSubstring("than text"));
  CHECK_THROWS_WITH(identity_of(fair + R"({"questions":[" "],"answers":["b"]}])"), ContainsSubstring("than text"));
  CHECK_THROWS_WITH(identity_of(fair + R"({"questions":["a"],"answers":["{mame}"]}])"),
                    ContainsSubstring("a placeholder other than {name} and {maker}"));
  CHECK_THROWS_WITH(identity_of(fair + R"({"question":["a"]}])"), ContainsSubstring("unknown member \"question\""));
}

TEST_CASE("identity: the shipped questions are many, each asked once, and every answer says who speaks") {
  const auto records = load_identity_records(shipped_file("prompts/identity.json"), {"Xantippe-9", "the makers of Q"});
  CHECK(records.size() == 70);
  std::set<std::string> questions, answers;
  for (const auto& record : records) {
    CAPTURE(record.response);
    questions.insert(record.prompt.instruction);
    answers.insert(record.response);
    CHECK(record.response.find("Xantippe-9") != std::string::npos);
    CHECK(record.prompt.instruction.find('{') == std::string::npos);
    CHECK(record.prompt.instruction.find("Xantippe") == std::string::npos);
  }
  CHECK(questions.size() == 35);
  CHECK(answers.size() == 14);
  CHECK(std::ranges::count_if(answers, [](const auto& text) { return text.find("the makers of Q") != text.npos; }) > 9);
}
