#include "collection/data_survey.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "jsonl/dropped_parts.hpp"
#include "support/catch.hpp"
#include "support/packed_files.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

using counts = std::map<std::string, std::size_t>;

data_survey survey(const temporary_directory& folder, const std::string& lines, data_survey_options options = {}) {
  write_bytes(folder / "a.jsonl", lines);
  options.length = [](std::string_view text) { return text.size(); };
  return survey_data(folder / "a.jsonl", options);
}

}  // namespace

TEST_CASE("data survey: columns in their order, with types, missing values and a first value") {
  const temporary_directory folder;
  const auto found = survey(folder, R"({"a":"x","b":[{"role":"user","content":"q"}],"c":null}
{"a":3,"b":[],"c":1.5,"d":{"k":1,"l":2}}
{"a":null,"e":["t"],"f":true}
)");
  CHECK(found.records == 3);
  REQUIRE(found.columns.size() == 6);
  CHECK(found.columns[0].name == "a");
  CHECK(found.columns[0].types == counts{{"text", 1}, {"whole number", 1}});
  CHECK(found.columns[0].first == "\"x\"");
  CHECK(found.columns[1].types == counts{{"list of {role, content}", 1}, {"empty list", 1}});
  CHECK(found.columns[2].types == counts{{"number", 1}});
  CHECK(found.columns[2].first == "1.5");
  CHECK(found.columns[3].types == counts{{"{k, l}", 1}});
  CHECK(found.columns[4].types == counts{{"list of text", 1}});
  CHECK(found.columns[5].types == counts{{"boolean", 1}});
  CHECK_FALSE(found.is_readable());
  CHECK(survey(folder, "\"a question\"\n").columns[0].name == "(the record itself)");
}

TEST_CASE("data survey: each kind reads what its stages read, and keeps the first records") {
  const temporary_directory folder;
  const auto found = survey(folder, R"({"instruction":"q","output":"a"}
{"prompt":"q","chosen":"good","rejected":"worse one"}
{"instruction":"Q ","responses":["x","yy","zzz"]}
{"instruction":"r","output_1":"x","output_2":"y","scores":{"brief":[1,0.5]}}
{"history":"p","human_ref_A":"a","human_ref_B":"b","labels":1,"score_ratio":1.5}
)");
  CHECK(found.is_readable());
  CHECK(found.conversations.readable == 1);
  CHECK_THAT(found.conversations.refusal, ContainsSubstring("a.jsonl: line 2"));
  CHECK(found.preferences.readable == 1);
  CHECK(found.preferences.left_out == 1);
  CHECK(found.samples.readable == 2);  // a judged pair is one too
  CHECK(found.judgements.readable == 1);
  REQUIRE(found.samples.examples.size() == 1);
  CHECK(found.samples.examples[0].place == "line 3");
  CHECK(found.samples.examples[0].record.responses.size() == 3);
  // The texts of a record are counted once, by the fullest kind.
  CHECK(found.lengths.at("reply").size() == 1);
  CHECK(found.lengths.at("rejected").quantile(100) == 9);
  CHECK(found.lengths.at("response").size() == 5);
  CHECK(found.lengths.at("prompt").size() == found.sources.readable);
}

TEST_CASE("data survey: equal records and repeated prompts, stated and recognised languages") {
  const temporary_directory folder;
  const std::string german = "Der Hund schläft unter dem großen Tisch in der Küche.";
  const auto found =
      survey(folder, json{{"prompt", german}, {"language", "German"}}.dump() + "\n" +
                         json{{"prompt", "der  hund " + german.substr(9)}}.dump() + "\n" +
                         json{{"prompt", german}, {"language", "German"}}.dump() + "\n" + R"({"prompt":"1+1"})" + "\n");
  CHECK(found.equal_records == 1);
  CHECK(found.repeated_prompts == 2);
  CHECK(found.stated == counts{{"German", 2}});
  CHECK(found.languages == counts{{"de", 3}, {"un", 1}});
}

TEST_CASE("data survey: what cannot be read is counted; a wrong column or file is an error") {
  const temporary_directory folder;
  const auto found = survey(folder, "{\"prompt\":\"a\"}\nnonsense\n{\"prompt\":\"b\"}\n");
  CHECK(found.records == 2);
  CHECK(found.bad == 1);
  REQUIRE(found.faults.size() == 1);
  CHECK_THAT(found.faults[0], ContainsSubstring("a.jsonl: line 2"));
  const std::string lines = "{\"q\":\"a\"}\n{\"text\":\"b\"}\n";
  CHECK_THROWS_WITH(survey(folder, lines, {.columns = {{"prompt", "question"}}}),
                    ContainsSubstring("a.jsonl: line 1: there is no column \"question\"; the columns are q;"));
  const auto chosen = survey(folder, lines, {.columns = {{"prompt", "q"}}});
  CHECK(chosen.prompts.readable == 1);
  CHECK(chosen.bad == 1);
  CHECK_THROWS_AS(survey_data(folder / "none.jsonl", {}), file_error);
}

TEST_CASE("data survey: a limit, a call for each record, and no more notes than counts") {
  const temporary_directory folder;
  std::string lines;
  for (int i = 0; i < 2500; ++i)
    lines += R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},)"
             R"({"role":"user","content":"later"}]})"
             "\n";
  dropped_parts::of_run().clear();
  std::size_t ticks = 0;
  const auto some = survey(folder, lines, {.limit = 10, .tick = [&] { ++ticks; }});
  CHECK(some.records == 10);
  CHECK(ticks == 10);
  const auto all = survey(folder, lines);
  CHECK(all.dropped.at("an unanswered question at the end, which is not trained on") == 2500);
  CHECK(dropped_parts::of_run().report_lines().empty());
}

TEST_CASE("data survey: records of ever other columns do not fill the memory") {
  const temporary_directory folder;
  std::string lines;
  for (int i = 0; i < 500; ++i) lines += "{\"c" + std::to_string(i) + "\":" + std::to_string(i) + "}\n";
  const auto found = survey(folder, lines);
  CHECK(found.columns.size() == data_survey::most_columns + 1);
  CHECK(found.columns.back().name == data_survey::others);
  CHECK(found.columns.back().types == counts{{"whole number", 500 - data_survey::most_columns}});
}

TEST_CASE("data survey: the form of a file is told by its content") {
  const temporary_directory folder;
  write_bytes(folder / "a", "{}\n");
  CHECK(data_form(folder / "a") == "JSON Lines");
  write_bytes(folder / "a", "\xEF\xBB\xBF [1]");
  CHECK(data_form(folder / "a") == "JSON, one list");
  write_bytes(folder / "a", pack_gzip("{}\n"));
  CHECK(data_form(folder / "a") == "JSON, packed with gzip");
  write_bytes(folder / "a", pack_zstd("{}\n"));
  CHECK(data_form(folder / "a") == "JSON, packed with zstd");
  write_bytes(folder / "a", "PAR1");
  CHECK(data_form(folder / "a") == "Parquet");
}
