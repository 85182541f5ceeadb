#include "records/records.hpp"

#include <algorithm>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "models/prompter.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;
using coho::prompt_type;

namespace {

const auto path = std::filesystem::temp_directory_path() / ("coho_records_" + std::to_string(::getpid()) + ".jsonl");

template <class Record>
std::vector<Record> parse(const std::string& content) {
  write_file(path, content);
  auto out = read_records<Record>(path);
  std::filesystem::remove(path);
  return out;
}

template <class Record>
std::string error_of(const std::string& content) {
  try {
    parse<Record>(content);
  } catch (const coho::file_error& e) {
    std::filesystem::remove(path);
    return std::string(e.what()).substr(path.string().size() + 2);
  }
  return "no error";
}

template <class Record>
void check_round_trip(const Record& record) {
  const auto text = to_json(record).dump();
  INFO(text);
  const auto read = parse<Record>(text + "\n");
  REQUIRE(read.size() == 1);
  CHECK((read[0] == record));
}

const prompt_record sorting_prompt{"Sort the list", "3 1 2", "1 2 3", -0.4, prompt_type::reasoning};
const prompt_record plain{"Who are you?"};

}  // namespace

TEST_CASE("our records read back as they were written") {
  check_round_trip(sorting_prompt);
  check_round_trip(plain);
  check_round_trip(prompt_record{"Who?", "", "", 0.5, prompt_type::red_teaming, "dolly", "pt-BR"});
  check_round_trip(sft_record{plain, "A program."});
  check_round_trip(sample_record{plain, {"a", "", "c"}, {true, false, true}});
  check_round_trip(pair_record{sorting_prompt, "x", "y"});
  check_round_trip(judgement_record{{plain, "x", "y"}, {{"Concise", 0.1, -1e-7}, {"Ethical", 2, 3}}});
  check_round_trip(preference_record{
      plain, "x", "y", 2, {{"Concise", true, "Be wordy.", -1.25}, {"Ethical", false, "", 0.5}}, 0, 1.25});
  check_round_trip(preference_record{plain, "x", "y", 1});
  check_round_trip(preference_record{plain, "x", "y", 2, {}, {}, 2.5});
  prompt_record late{"And you?"};
  late.system = "Be brief.";
  late.history = {{coho::chat_role::user, "Who?"}, {coho::chat_role::assistant, "I.", 0.5}};
  check_round_trip(late);
  check_round_trip(sft_record{late, "Me too.", 2, false});
  check_round_trip(sample_record{late, {"a"}, {false}});
  check_round_trip(judgement_record{{late, "x", "y"}, {{"Concise", 0.1, 2}}});
  check_round_trip(preference_record{late, "x", "y", 2});
  CHECK(sorting_prompt.text() == "Sort the list\n\n3 1 2");
  CHECK(plain.text() == "Who are you?");
}

TEST_CASE("prompts are read from the forms in use") {
  const auto one = [](const std::string& text) { return parse<prompt_record>(text)[0]; };
  CHECK(one("\"Who?\"").text() == "Who?");
  CHECK(one(R"({"prompt":"Who?"})").text() == "Who?");
  CHECK(one(R"({"prompt":{"text":"Who?","replies":[]},"tree_state":"x"})").text() == "Who?");
  CHECK(one(R"({"prompt":[{"role":"system","content":"Be brief."},{"role":"user","content":"Who?"}]})").text() ==
        "Be brief.\n\nWho?");
  CHECK(one(R"({"question_id":81,"turns":["Who?","And?"]})").text() == "Who?");
  CHECK(
      one(R"({"conversations":[{"from":"human","value":"Who?"},{"from":"gpt","value":"Me."},{"from":"human","value":"And?"}]})")
          .text() == "Human: Who?\n\nAssistant: Me.\n\nHuman: And?");
  CHECK(one(R"({"messages":[{"role":"user","content":"Who?"}]})").text() == "Who?");
  const auto maths = one(R"({"question":"1+1?","answer":"2"})");
  CHECK(maths.type == prompt_type::reasoning);
  CHECK(maths.output == "2");
  CHECK(one(R"({"instruction":"Who?","input":null,"question_type":2,"length_bonus":0.5})").type ==
        prompt_type::red_teaming);
  CHECK(one(R"({"instruction":"Who?","responses":["a","b"],"finished":[true,true]})").text() == "Who?");
  CHECK(one(R"({"instruction":"Who?","question_type":"red_teaming"})").type == prompt_type::red_teaming);
  CHECK(one(R"({"id":"t0.1","system_prompt":"S","question":"Who?","response":"Me."})").type == prompt_type::general);
  const auto problem = one(R"({"problem":"1+1?","level":"Level 1","type":"Algebra","solution":"2"})");
  CHECK(problem.text() == "1+1?");
  CHECK(problem.type == prompt_type::reasoning);
}

TEST_CASE("prompts: Dolly's context is a part of the prompt") {
  const auto dolly = parse<sft_record>(
      R"({"instruction":"Who?","context":"She is Ann.","response":"Ann.","category":"closed_qa"})")[0];
  CHECK(dolly.prompt.text() == "Who?\n\nShe is Ann.");
  CHECK(dolly.response == "Ann.");
}

TEST_CASE("prompts: of the messages of trees the first ones are read") {
  const auto roots =
      parse<prompt_record>(R"({"message_id":"1","parent_id":null,"role":"prompter","text":"Who?","lang":"en"}
{"message_id":"2","parent_id":"1","role":"assistant","text":"Me.","lang":"en"}
{"message_id":"3","parent_id":null,"role":"prompter","text":"gone","deleted":true}
)");
  REQUIRE(roots.size() == 1);
  CHECK(roots[0].text() == "Who?");
}

TEST_CASE("prompts: fields that others use for something else are passed over") {
  const auto prompt = parse<prompt_record>(R"({"instruction":"Who?","source":["a"],"language":3,"id":{"x":1}})")[0];
  CHECK(prompt.source.empty());
  CHECK(prompt.language.empty());
  CHECK(error_of<prompt_record>(R"({"instruction":"Who?","question_type":"odd"})") ==
        "line 1: field \"question_type\" is of type string, expected 0 (general), 1 (reasoning) or 2 (red-teaming)");
}

TEST_CASE("prompts of other forms carry their type and length bonus too") {
  const auto one = [](const std::string& text) { return parse<prompt_record>(text)[0]; };
  const auto reasoning = one(R"({"prompt":"1+1?","question_type":1,"length_bonus":-0.4})");
  CHECK(reasoning.type == prompt_type::reasoning);
  CHECK(reasoning.length_bonus == -0.4);
  CHECK(one(R"({"turns":["Who?"],"question_type":"red_teaming"})").type == prompt_type::red_teaming);
  CHECK(one(R"({"question":"Who?","question_type":0})").type == prompt_type::general);
  CHECK(one(R"({"question":"Who?","question_type":null})").type == prompt_type::reasoning);
  CHECK_THAT(error_of<prompt_record>(R"({"prompt":"a","question_type":"hard"})"), ContainsSubstring("question_type"));
}

TEST_CASE("supervised records need a response") {
  const auto share = parse<sft_record>(
      R"({"conversations":[{"from":"system","value":"S"},{"from":"human","value":"Who?"},{"from":"gpt","value":"Me."}]})")
      [0];
  CHECK(share.prompt.system == "S");
  CHECK(share.prompt.question() == "Who?");
  CHECK(share.response == "Me.");
  CHECK(parse<sft_record>(R"({"instruction":"Who?","output":"Me."})")[0].response == "Me.");
  CHECK(parse<sft_record>(R"({"prompt":"Who?","completion":"Me."})")[0].response == "Me.");
  CHECK(error_of<sft_record>(R"({"instruction":"Who?"})") ==
        "line 1: there is no response to train on; give it as \"output\" or \"response\"");
}

TEST_CASE("HH dialogues are split behind their last common question") {
  const auto single = parse<preference_record>(
      R"({"chosen":"\n\nHuman: Why?\n\nAssistant: So.","rejected":"\n\nHuman: Why?\n\nAssistant: No."})")[0];
  CHECK(single.prompt.instruction == "Why?");
  CHECK(single.chosen() == "So.");
  CHECK(single.rejected() == "No.");
  const auto longer = parse<preference_record>(
      R"({"chosen":"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d","rejected":"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: e"})")
      [0];
  CHECK(longer.prompt.text() == "Human: a\n\nAssistant: b\n\nHuman: c");
  CHECK(longer.prompt.instruction == "c");
  CHECK((longer.prompt.history ==
         std::vector<coho::chat_message>{{coho::chat_role::user, "a"}, {coho::chat_role::assistant, "b"}}));
}

TEST_CASE("the other preference forms") {
  const auto one = [](const std::string& text) { return parse<preference_record>(text)[0]; };
  const auto check = [](const preference_record& record) {
    CHECK(record.prompt.text() == "Why?");
    CHECK(record.chosen() == "So.");
    CHECK(record.rejected() == "No.");
  };
  check(one(R"({"prompt":"Why?","chosen":"So.","rejected":"No."})"));
  check(one(R"({"instruction":"Why?","output_1":"No.","output_2":"So.","preference":2})"));
  check(one(
      R"({"prompt":[{"role":"user","content":"Why?"}],"chosen":[{"role":"assistant","content":"So."}],"rejected":[{"role":"assistant","content":"No."}]})"));
  check(one(
      R"({"prompt":"Why?","chosen":[{"role":"user","content":"Why?"},{"role":"assistant","content":"So."}],"rejected":[{"role":"user","content":"Why?"},{"role":"assistant","content":"No."}]})"));
  check(one(
      R"({"chosen":[{"role":"user","content":"Why?"},{"role":"assistant","content":"So."}],"rejected":[{"role":"user","content":"Why?"},{"role":"assistant","content":"No."}]})"));
  check(one(
      R"({"conversations":[{"from":"human","value":"Why?"}],"chosen":{"from":"gpt","value":"So."},"rejected":{"from":"gpt","value":"No."}})"));
  check(one(
      R"({"Question":"Human: Why?","Answer1":"Assistant: No.","Answer2":"Assistant: So.","Preference":"Answer2"})"));
  check(one(R"({"history":"Why?","human_ref_A":"No.","human_ref_B":"So.","labels":0,"score_ratio":3.5})"));
}

TEST_CASE("SHP pairs of nearly equal votes are left out") {
  write_file(path, R"({"history":"a","human_ref_A":"b","human_ref_B":"c","labels":1,"score_ratio":2.0}
{"history":"a","human_ref_A":"b","human_ref_B":"c","labels":1,"score_ratio":2.1}
)");
  record_reader<preference_record> reader(path);
  preference_record record;
  CHECK(reader.next(record));
  CHECK_FALSE(reader.next(record));
  CHECK(reader.kept() == 1);
  CHECK(reader.left_out() == 1);
  CHECK_THAT(
      error_of<preference_record>(R"({"history":"a","human_ref_A":"b","human_ref_B":"c","labels":1,"score_ratio":1})"),
      ContainsSubstring("has no record that is used (1 left out)"));
}

TEST_CASE("the released form: scores that are no finite numbers are refused") {
  for (const char* score : {"nan", "inf", "'x'"})
    CHECK_THAT(error_of<preference_record>(
                   R"json({"dimensions":"('Concise',)","dimension_scores":"()json" + std::string(score) +
                   R"json(,)","instruction":"Why?","input":"","output_1":"a","output_2":"b","preference":2})json"),
               ContainsSubstring("must contain finite numbers"));
}

TEST_CASE("the released form with tuples printed into strings") {
  const auto record = parse<preference_record>(
      R"json([{"doinate_dimension_idx":1,"dimensions":"('Concise', 'Ethical')","dimension_scores":"(0.5, -2.0)","negative_definitions":"(0, 1)",)json"
      R"json("instruction":"Why?","input":"","output_1":"a","output_2":"b","preference":2,"flip":false,"lang":["en","en","en"],"rule_flag":false}])json")
      [0];
  REQUIRE(record.principles.size() == 2);
  CHECK((record.principles[0] == chosen_principle{"Concise", false, "", 0.5}));
  CHECK((record.principles[1] == chosen_principle{"Ethical", true, "", -2.0}));
  CHECK(record.dominant == 1u);
  CHECK(record.label_margin == 2);
  CHECK(record.preferred == 2);
  CHECK_THAT(
      error_of<preference_record>(
          R"json({"instruction":"a","output_1":"b","output_2":"c","preference":1,"dimensions":"('x',)","negative_definitions":"(0, 1)"})json"),
      ContainsSubstring("\"negative_definitions\" must be a tuple or list of 1 items"));
  CHECK_THAT(error_of<preference_record>(
                 R"json({"instruction":"a","output_1":"b","output_2":"c","preference":1,"dimensions":"exit()"})json"),
             ContainsSubstring("\"dimensions\" must be a tuple or list"));
}

TEST_CASE("a record of no known form names its fields and what is accepted") {
  CHECK(error_of<pair_record>("\n{\"instruction\":\"a\",\"out\":\"b\"}") ==
        "line 2: not a pair record: found a record with the fields instruction, out; accepted are {instruction, "
        "input?, output_1, output_2} and "
        "{instruction, input?, responses} with two responses");
  CHECK_THAT(error_of<preference_record>("{}"),
             ContainsSubstring("line 1: not a preference record: found an empty object; accepted are"));
  CHECK_THAT(error_of<prompt_record>("3"), ContainsSubstring("found a JSON value of type number"));
  CHECK_THAT(error_of<prompt_record>(R"({"instruction":7})"),
             ContainsSubstring("line 1: field \"instruction\" is of type number, expected text"));
  CHECK_THAT(error_of<prompt_record>(R"({"instruction":" "})"), ContainsSubstring("the prompt is empty"));
  CHECK_THAT(error_of<prompt_record>(R"({"instruction":"a","question_type":5})"), ContainsSubstring("question_type"));
  CHECK_THAT(error_of<prompt_record>(R"({"messages":[{"role":"user"}]})"),
             ContainsSubstring("\"messages\", message 1 is neither {role, content} nor {from, value}"));
  CHECK_THAT(error_of<prompt_record>(R"({"messages":[{"role":"robot","content":"x"}]})"),
             ContainsSubstring("message 1 is from \"robot\""));
  CHECK_THAT(error_of<preference_record>(R"({"chosen":"a","rejected":"b"})"),
             ContainsSubstring("have no common beginning"));
  CHECK_THAT(error_of<preference_record>(R"({"instruction":"a","output_1":"b","output_2":"c","preference":3})"),
             ContainsSubstring("\"preference\""));
  CHECK_THAT(error_of<judgement_record>(R"({"instruction":"a","output_1":"b","output_2":"c","scores":{"x":[1]}})"),
             ContainsSubstring("must be two numbers"));
  CHECK(error_of<prompt_record>("\n\n") == "has no records");
  CHECK(error_of<prompt_record>("[]") == "has no records");
}

TEST_CASE("real files give typed records") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto hh = read_records<preference_record>(*data / "hh_rlhf" / "harmless-base_test.jsonl.gz");
  CHECK(hh.size() == 2312);
  std::size_t dialogues = 0, quoting = 0;
  for (const auto& record : hh) {
    CHECK_FALSE(record.prompt.instruction.empty());
    CHECK_FALSE(record.prompt.text().ends_with("Assistant:"));
    quoting += record.response_1.find("\n\nHuman:") != std::string::npos;
    dialogues += !record.prompt.history.empty();
  }
  CHECK(dialogues > 1000);
  CHECK(quoting == 1);  // an answer in two turns, the second of which begins with "Human:"
  CHECK(read_records<preference_record>(*data / "hh_rlhf" / "hh100_pairs_openaiapi.jsonl").size() == 100);
  CHECK(read_records<preference_record>(*data / "preferences" / "dpo_en_demo.json").size() == 300);
  CHECK(read_records<prompt_record>(*data / "prompts" / "prompt_lottery_en_250_text.jsonl").size() == 250);
  CHECK(read_records<prompt_record>(*data / "prompts" / "en_100_tree.jsonl").size() == 100);
  CHECK(read_records<prompt_record>(*data / "questions" / "mt_bench_question.jsonl").size() == 80);
  CHECK(read_records<prompt_record>(*data / "questions" / "vicuna_bench_question.jsonl").size() == 80);
  CHECK(read_records<sft_record>(*data / "gsm8k" / "train_500.jsonl").size() == 500);
  CHECK(read_records<preference_record>(*data / "hh_rlhf" / "harmless-base_test.jsonl.gz", 10).size() == 10);
}
