#include "collection/source_prompt.hpp"

#include <algorithm>
#include <string>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "jsonl/dropped_parts.hpp"
#include "models/prompter.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using coho::prompt_type;

namespace {

source_prompt read_one(std::string line) {
  std::ranges::replace(line, '\n', ' ');  // of records that are broken over lines below
  const temporary_directory folder;
  write_bytes(folder / "source.jsonl", line + "\n");
  jsonl_reader reader(folder / "source.jsonl");
  json value;
  REQUIRE(reader.next(value));
  return read_source_prompt(value, reader);
}

void check_prompt(const std::string& line, const std::string& text, prompt_type type = prompt_type::general) {
  CAPTURE(line);
  const auto got = read_one(line);
  CHECK_FALSE(got.removed.has_value());
  CHECK(got.prompt.text() == text);
  CHECK(got.prompt.type == type);
  CHECK(got.prompt.output.empty());
}

void check_removed(const std::string& line, prompt_removal reason) {
  CAPTURE(line);
  CHECK(read_one(line).removed == reason);
}

}  // namespace

TEST_CASE("sources: each collection's form is recognised by its fields") {
  check_prompt(R"({"id":"QWJhYvA_0","conversations":[{"from":"human","value":"Why?"},{"from":"gpt","value":"So."},
{"from":"human","value":"And?"}]})",
               "Why?");
  check_prompt(R"({"instruction":"Who?","context":"A text.","response":"She.","category":"closed_qa"})",
               "Who?\n\nA text.");
  check_prompt(R"({"instruction":"Who?","context":"","response":"She.","category":"open_qa"})", "Who?");
  check_prompt(R"({"message_tree_id":"1","tree_state":"ready_for_export","prompt":{"message_id":"1","text":"Why?",
"role":"prompter","lang":"en","deleted":false,"review_result":true,"replies":[]}})",
               "Why?");
  check_prompt(R"({"message_id":"1","parent_id":null,"role":"prompter","text":"Why?","lang":"pt-BR","deleted":false})",
               "Why?");
  check_prompt(R"({"id":"flan.1","system_prompt":"You are.","question":"Why?","response":"So."})", "Why?");
  check_prompt(R"({"id":"cot.1","system_prompt":"","question":"How many?","response":"2"})", "How many?",
               prompt_type::reasoning);
  check_prompt(R"({"problem":"Find $x$.","level":"Level 5","type":"Algebra","solution":"$2$"})", "Find $x$.",
               prompt_type::reasoning);
  check_prompt(R"({"question":"How many?","answer":"2 #### 2"})", "How many?", prompt_type::reasoning);
  check_prompt(R"({"instruction":"Sort","input":"3 1","output":"1 3","question_type":"reasoning"})", "Sort\n\n3 1",
               prompt_type::reasoning);
  check_prompt(R"("Why?")", "Why?");
  check_prompt(R"({"prompt":"Why?"})", "Why?");
  check_prompt(R"({"prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"},
{"role":"assistant","content":"So."}],"chosen":"a","rejected":"b"})",
               "Why?");
  check_prompt(R"({"messages":[{"role":"user","content":"Why?"}]})", "Why?");
  check_prompt(R"({"question_id":81,"category":"writing","turns":["Why?","And?"]})", "Why?");
  check_prompt(R"({"chosen":"\n\nHuman: Why?\n\nAssistant: So.\n\nHuman: And?\n\nAssistant: a","rejected":"x"})",
               "Why?");
  check_prompt(R"({"chosen":"\r\n\r\nHuman: Why?\r\n\r\nAssistant: So.","rejected":"x"})", "Why?");
  check_prompt(R"({"chosen":"\n\nHuman: Why?\nAssistant: So.","rejected":"x"})", "Why?");
  check_prompt(R"({"system":"Be brief.","question":"Why?","chosen":"So.","rejected":"No."})", "Why?");
  check_prompt(R"({"system":"Be brief.","history":[["Who?","I."]],"instruction":"Why?","output":"So."})", "Who?");
  check_prompt(R"({"history":"Why?","human_ref_A":"a","human_ref_B":"b","labels":1,"score_ratio":1.0})", "Why?");
  check_prompt(R"({"Question":"Human: Why?","Answer1":"a","Answer2":"b","Preference":"Answer1"})", "Why?");
  check_prompt(R"({"system":"You are.","question":"Why?","chosen":"a","rejected":"b"})", "Why?");
  check_prompt(R"({"chosen":"\n\nHuman: Why?\r\n\r\nAssistant: a","rejected":"x"})", "Why?");
  check_prompt(R"({"chosen":"Human: Why?\nAssistant: a","rejected":"x"})", "Why?");
  CHECK(read_one(R"({"conversations":[{"from":"human","value":"Why?"}]})").from_page);
  CHECK(read_one(R"({"instruction":"Who?","context":"","response":"x","category":"open_qa"})").category == "open_qa");
  CHECK(read_one(R"({"id":"niv.242684","system_prompt":"","question":"Why?","response":"So."})").part == "niv");
  CHECK(read_one(R"({"id":7,"category":["a"],"prompt":"Why?"})").part.empty());
  CHECK(read_one(R"({"id":"QWJhYvA_0","category":["a"],"prompt":"Why?"})").category.empty());
  CHECK_FALSE(read_one(R"({"messages":[{"role":"user","content":"Why?"}]})").from_page);
  CHECK(read_one(R"({"message_id":"1","role":"prompter","text":"Por quê?","lang":"pt-BR"})").prompt.language ==
        "pt-BR");
}

TEST_CASE("sources: system texts and later questions are left out and counted") {
  auto& dropped = dropped_parts::of_run();
  dropped.clear();
  read_one(R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":"Why?"},
{"role":"assistant","content":"So."},{"role":"user","content":"And?"}]})");
  CHECK(dropped.report_lines() ==
        std::vector<std::string>{"note: 1 record: a system text, which is left out: `prompts` keeps questions",
                                 "note: 1 record: later questions, which are left out: `prompts` keeps the first"});
  dropped.clear();
  read_one(R"({"messages":[{"role":"system","content":" "},{"role":"user","content":"Why?"},
{"role":"assistant","content":"So."}]})");
  CHECK(dropped.report_lines().empty());
  // Wherever the earlier turns stand, the first question is the prompt.
  for (
      const std::string line :
      {R"({"history":[{"role":"system","content":"S"},{"role":"user","content":"Why?"},{"role":"assistant","content":"So."}],"prompt":"And?"})",
       R"({"system":"S","history":[["Why?","So."]],"question":"And?"})",
       R"({"system":"S","history":[["Why?","So."]],"instruction":"And?"})",
       R"({"system":"S","question":"Human: Why?\n\nAssistant: So.\n\nHuman: And?\n\nAssistant:"})"}) {
    CAPTURE(line);
    dropped.clear();
    CHECK(read_one(line).prompt.instruction == "Why?");
    CHECK(dropped.report_lines().size() == 2);
  }
  dropped.clear();
  CHECK(read_one(R"({"messages":null,"prompt":{"role":"user","content":"Why?"}})").prompt.instruction == "Why?");
}

TEST_CASE("sources: what is no first query of a user, or no text, is removed for its reason") {
  using enum prompt_removal;
  check_removed(R"({"conversations":[{"from":"gpt","value":"So."},{"from":"human","value":"And?"}]})", not_first_turn);
  check_removed(R"({"id":"i6IyJda_2","conversations":[{"from":"human","value":"And?"}]})", not_first_turn);
  check_removed(R"({"message_id":"2","parent_id":"1","role":"assistant","text":"So."})", not_first_turn);
  check_removed(R"({"message_id":"3","parent_id":"2","role":"prompter","text":"And?"})", not_first_turn);
  check_removed(R"({"message_id":"1","parent_id":null,"role":"prompter","text":"Why?","deleted":true})", deleted);
  check_removed(R"({"prompt":{"text":"Why?","role":"prompter","review_result":false}})", deleted);
  check_removed(R"({"conversations":[]})", empty);
  check_removed(R"({"conversations":[{"from":"system","value":"S"}]})", empty);
  check_removed(R"({"conversations":[{"from":"human","value":null}]})", empty);
  check_removed(R"({"instruction":" \n","context":"","response":"x"})", empty);
  check_removed(R"({"question":"\u3000","answer":"2"})", empty);
  check_removed(R"("")", empty);
  check_removed(R"({"turns":[]})", empty);
  check_prompt(R"({"id":"QWJhYvA_y","conversations":[{"from":"human","value":"Why?"}]})", "Why?");
  check_prompt(R"({"id":"identity_12","conversations":[{"from":"human","value":"Why?"}]})", "Why?");
  check_prompt(R"({"id":"QWJhYvA_0","conversations":[{"from":"human","value":"Why?"}]})", "Why?");
}

TEST_CASE("sources: another form is an error with its place, the fields seen and the forms accepted") {
  const auto error_of = [](const std::string& line) {
    try {
      read_one(line);
    } catch (const coho::file_error& problem) {
      return std::string(problem.what());
    }
    return std::string("no error");
  };
  const auto unknown = error_of(R"({"headline":"x","body":"y"})");
  CHECK_THAT(unknown, ContainsSubstring("source.jsonl: line 1: not a prompt record: found a record with the fields "
                                        "headline, body"));
  for (const std::string form : {"ShareGPT", "Dolly", "OpenAssistant", "OpenOrca", "MATH", "GSM8K"})
    CHECK_THAT(unknown, ContainsSubstring(form));
  CHECK_THAT(error_of("[1]"), ContainsSubstring("found a JSON value"));
  CHECK_THAT(error_of(R"({"question":7,"answer":"x"})"), ContainsSubstring("line 1: field \"question\""));
  CHECK_THAT(error_of(R"({"conversations":"x"})"), ContainsSubstring("a list of messages"));
  CHECK_THAT(error_of(R"({"conversations":[{"speaker":"x"}]})"), ContainsSubstring("neither {role, content}"));
  CHECK_THAT(error_of(R"({"conversations":[{"from":"human","value":3}]})"), ContainsSubstring("not a string"));
}

TEST_CASE("sources: real collections give a prompt a record") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const std::pair<const char*, std::size_t> files[] = {{"prompts/prompt_lottery_en_250_text.jsonl", 250},
                                                       {"prompts/en_100_tree.jsonl", 100},
                                                       {"gsm8k/train_500.jsonl", 500},
                                                       {"questions/mt_bench_question.jsonl", 80},
                                                       {"questions/vicuna_bench_question.jsonl", 80},
                                                       {"hh_rlhf/harmless-base_test.jsonl.gz", 2312}};
  for (const auto& [name, count] : files) {
    CAPTURE(name);
    jsonl_reader reader(*data / name);
    std::size_t prompts = 0;
    for (json value; reader.next(value);) {
      const auto read = read_source_prompt(value, reader);
      prompts += !read.removed && read.prompt.text().find("\n\nAssistant:") == std::string::npos;
    }
    CHECK(prompts == count);
  }
}
