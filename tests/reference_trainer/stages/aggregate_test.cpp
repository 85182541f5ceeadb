#include "stages/aggregate.hpp"

#include <algorithm>
#include <coho/error.hpp>
#include <nlohmann/json.hpp>

#include "data/records.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

constexpr const char* principles = R"([{"dimension":"P","definition":"be p","negative_definition":"be not p"},
{"dimension":"Q","definition":"be q","negative_definition":"be not q"},
{"dimension":"R","definition":"be r","negative_definition":"be not r"}])";

// Scores as [in order, swapped]; both count in favour of response 1.
constexpr const char* judgements =
    R"({"instruction":"1","output_1":"a","output_2":"b","scores":{"P":[2,1],"Q":[-1,-1],"R":[0.5,0.5]}}
{"instruction":"2","output_1":"a","output_2":"b","scores":{"P":[0.5,0.5],"Q":[-3,-1],"R":[1,1]}}
{"instruction":"3","output_1":"a","output_2":"b","scores":{"P":[6,-1],"Q":[-0.5,-0.5],"R":[0.25,0.25]}}
{"instruction":"4","output_1":"a","output_2":"b","scores":{"P":[0,0],"Q":[0,0],"R":[1,-1]}}
)";

// Every principle in every record, no noise: nothing is left to chance but the order of presentation.
settings aggregating(const temporary_directory& folder) {
  write_bytes(folder / "judgements.jsonl", judgements);
  write_bytes(folder / "principles.json", principles);
  return {"aggregate.judgements=" + (folder / "judgements.jsonl").string(),
          "aggregate.principles=" + (folder / "principles.json").string(),
          "aggregate.preset=paper",
          "aggregate.set_sizes=[0.0, 0.0, 1.0]",
          "aggregate.negation_probability=0.0",
          "aggregate.label_noise=0.0",
          "out=" + (folder / "preferences.jsonl").string()};
}

struct expected {
  std::string prompt, chosen, dominant;
  double margin;
};

void check_preferences(const temporary_directory& folder, const settings& more, const std::vector<expected>& wanted) {
  run_stage(run_aggregate, aggregating(folder) + more);
  const auto records = read_records<preference_record>(folder / "preferences.jsonl");
  REQUIRE(records.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto& record = records[i];
    INFO("record " << i);
    CHECK(record.prompt.instruction == wanted[i].prompt);
    CHECK(record.chosen() == wanted[i].chosen);
    CHECK(record.rejected() == (wanted[i].chosen == "a" ? "b" : "a"));
    CHECK(record.principles.size() == 3);
    REQUIRE(record.dominant);
    CHECK(record.principles.at(*record.dominant).name == wanted[i].dominant);
    CHECK(record.margin == Approx(wanted[i].margin));
    // Each principle's own score speaks of the responses as they stand in the record.
    CHECK(record.principles.at(*record.dominant).score ==
          Approx(record.preferred == 1 ? wanted[i].margin : -wanted[i].margin));
  }
}

}  // namespace

TEST_CASE("aggregate: the most pronounced principle decides, pairs that no principle tells apart are dropped") {
  const temporary_directory folder;
  check_preferences(folder, {}, {{"1", "a", "P", 1.5}, {"2", "b", "Q", 2}, {"3", "a", "P", 2.5}});
}

TEST_CASE("aggregate: a principle whose two orders disagree does not count where agreement is asked for") {
  const temporary_directory folder;
  check_preferences(folder, {"aggregate.require_order_agreement=true"},
                    {{"1", "a", "P", 1.5}, {"2", "b", "Q", 2}, {"3", "b", "Q", 0.5}});
}

TEST_CASE("aggregate: negation turns labels and shows the negative definition") {
  const temporary_directory folder;
  check_preferences(folder, {"aggregate.negation_probability=1"},
                    {{"1", "b", "P", 1.5}, {"2", "a", "Q", 2}, {"3", "b", "P", 2.5}});
  for (const auto& record : read_records<preference_record>(folder / "preferences.jsonl")) {
    for (const auto& p : record.principles) {
      CHECK(p.negated);
      CHECK(p.text == "be not " + std::string(1, static_cast<char>(p.name[0] - 'A' + 'a')));
    }
  }
}

TEST_CASE("aggregate: division by variance makes principles comparable") {
  const temporary_directory folder;
  // Population variances over both orders of all pairs: P 4.046875, Q 0.796875, R 0.38671875.
  check_preferences(
      folder, {"aggregate.divide_by_variance=true"},
      {{"1", "a", "R", 0.5 / 0.38671875}, {"2", "a", "R", 1 / 0.38671875}, {"3", "a", "R", 0.25 / 0.38671875}});
}

TEST_CASE("aggregate: label noise of 1 turns every label, of 0 none") {
  const temporary_directory folder;
  run_stage(run_aggregate, aggregating(folder) + settings{"aggregate.label_noise=1"});
  const auto turned = read_records<preference_record>(folder / "preferences.jsonl");
  REQUIRE(turned.size() == 3);
  CHECK(turned[0].chosen() == "b");
  CHECK(turned[1].chosen() == "a");
  CHECK(turned[2].chosen() == "b");
}

TEST_CASE("aggregate: repeats and presentation depend on the seed alone") {
  const temporary_directory folder;
  const auto run = [&](const std::string& seed) {
    run_stage(run_aggregate, aggregating(folder) + settings{"aggregate.repeats=20", "seed=" + seed});
    return read_bytes(folder / "preferences.jsonl");
  };
  const auto first = run("1");
  CHECK(run("1") == first);
  CHECK(run("2") != first);
  const auto records = read_records<preference_record>(folder / "preferences.jsonl");
  REQUIRE(records.size() == 60);
  const auto exchanged = std::ranges::count_if(records, [](const auto& record) { return record.response_1 == "b"; });
  CHECK(exchanged > 15);
  CHECK(exchanged < 45);
}

TEST_CASE("aggregate: wordings vary the text of a principle, not what it decides") {
  const temporary_directory folder;
  std::string other = principles;
  for (auto at = other.find("be "); at != std::string::npos; at = other.find("be ", at + 1)) other[at] = 'B';
  write_bytes(folder / "other.json", other);
  const std::string both =
      "[\"" + (folder / "principles.json").string() + "\", \"" + (folder / "other.json").string() + "\"]";
  const auto given = aggregating(folder) + settings{"aggregate.repeats=8", "aggregate.wordings=" + both};
  run_stage(run_aggregate, given);
  std::size_t first = 0, second = 0;
  for (const auto& record : read_records<preference_record>(folder / "preferences.jsonl"))
    for (const auto& p : record.principles) ++(p.text.starts_with("be ") ? first : second);
  CHECK(first > 0);
  CHECK(second > 0);

  write_bytes(folder / "other.json", R"([{"dimension":"P","definition":"p"}])");
  CHECK_THROWS_AS(run_stage(run_aggregate, given), file_error);
}

TEST_CASE("aggregate: scores that are missing or all zero are refused, and no file is left") {
  const temporary_directory folder;
  const auto given = aggregating(folder);
  const auto fails_with = [&](const std::string& lines, const std::string& says) {
    write_bytes(folder / "judgements.jsonl", lines);
    CHECK_THROWS_WITH(run_stage(run_aggregate, given), Catch::Matchers::ContainsSubstring(says));
    CHECK_FALSE(std::filesystem::exists(folder / "preferences.jsonl"));
    CHECK_FALSE(std::filesystem::exists(folder / "preferences.jsonl.partial"));
  };
  const std::string pair = R"({"instruction":"1","output_1":"a","output_2":"b","scores":)";
  fails_with(pair + R"({"P":[2,1]}})", "no score for the principle \"Q\"");
  fails_with(pair + R"({"P":[0,0],"Q":[0,0],"R":[1,-1]}})", "no pair gives a preference");
  CHECK_THROWS_AS(run_stage(run_aggregate, given + settings{"aggregate.label_noise=2"}), option_error);
}
