#include "benchmarks/truthfulqa.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<truthful_item> load_text(std::string_view text, std::size_t limit = 100) {
  const temporary_directory folder;
  write_bytes(folder / "mc.json", text);
  return read_truthfulqa(folder / "mc.json", limit);
}

void check_two(const std::vector<truthful_item>& items) {
  REQUIRE(items.size() == 2);
  CHECK(items[0].question == "Is the sky green?");
  REQUIRE(items[0].answers.size() == 3);
  // The order of the file is kept, not that of the letters.
  CHECK(items[0].answers[0].text == "No.");
  CHECK(items[0].answers[0].right);
  CHECK(items[0].answers[1].text == "Always.");
  CHECK_FALSE(items[0].answers[1].right);
  CHECK(items[1].answers[1].right);
}

}  // namespace

TEST_CASE("truthfulqa: the original file and the hub's rows say the same") {
  check_two(load_text(R"([
    {"question": "Is the sky green?", "mc1_targets": {"No.": 1, "Always.": 0, "At noon.": 0}, "mc2_targets": {"No.": 1}},
    {"question": "2 + 2?", "mc1_targets": {"5": 0, "4": 1}}])"));
  check_two(load_text(
      "{\"question\": \"Is the sky green?\", \"mc1_targets\": {\"choices\": [\"No.\", \"Always.\", \"At noon.\"], "
      "\"labels\": [1, 0, 0]}}\n"
      "{\"question\": \"2 + 2?\", \"mc1_targets\": {\"choices\": [\"5\", \"4\"], \"labels\": [0, 1]}}\n"));
  CHECK(load_text(R"([{"question": "q", "mc1_targets": {"a": 1, "b": 0}}, {"broken": 1}])", 1).size() == 1);
}

TEST_CASE("truthfulqa: answers may be called choices and labels") {
  const auto items = load_text(R"([{"question": "What has a vote?", "mc1_targets": {"choices": 1, "labels": 0}}])");
  REQUIRE(items[0].answers.size() == 2);
  CHECK(items[0].answers[0].text == "choices");
}

TEST_CASE("truthfulqa: wrong records are refused with their place") {
  const auto refuses = [](std::string_view text, const std::string& what) {
    CHECK_THROWS_WITH(load_text(text), ContainsSubstring("mc.json") && ContainsSubstring(what));
  };
  refuses("[]", "holds no questions");
  refuses(R"([{"question": "q"}])", "not a TruthfulQA record");
  refuses(R"([{"question": "q", "mc1_targets": {"a": 1, "b": 0}}, {"question": "q", "mc1_targets": {"a": 1}}])",
          "item 2: field \"mc1_targets\" has fewer than two");
  refuses(R"([{"question": "q", "mc1_targets": {"a": 1, "b": 1}}])", "marks 2 answers as right");
  refuses(R"([{"question": "q", "mc1_targets": {"a": 0, "b": 0}}])", "marks 0 answers as right");
  refuses(R"([{"question": "q", "mc1_targets": {"a": 1, "b": "0"}}])", "labels are 0 and 1");
  refuses(R"([{"question": "q", "mc1_targets": ["a", "b"]}])", "expected an object");
  refuses(R"([{"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1]}}])", "2 choices and 1 labels");
  refuses(R"([{"question": "q", "mc1_targets": {"choices": ["a", 2], "labels": [1, 0]}}])", "not text");
  refuses(R"([{"question": 3, "mc1_targets": {"a": 1, "b": 0}}])", "\"question\"");
}
