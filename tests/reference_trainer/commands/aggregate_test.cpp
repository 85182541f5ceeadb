#include <algorithm>
#include <map>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "records/records.hpp"
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
    CHECK(record.label_margin == Approx(wanted[i].margin));
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
  CHECK_THROWS_AS(run_stage(run_aggregate, given + settings{"aggregate.label_noise=2"}), config_error);
}

TEST_CASE("aggregate: a summary beside the records says what became of every draw") {
  const temporary_directory folder;
  // Prompt and responses long enough for their language to be found; "5" and "6" are too short for the rule.
  const std::string english = "Please tell me in a few words why the leaves of these trees turn red in the autumn.",
                    answer = "The leaves turn red because the trees stop making the green that hides other colours.",
                    german = "Die Blätter werden rot, weil die Bäume kein Grün mehr bilden, das die Farben verdeckt.";
  const auto line = [](const std::string& prompt, const std::string& a, const std::string& b,
                       const std::string& scores) {
    return R"({"instruction":")" + prompt + R"(","output_1":")" + a + R"(","output_2":")" + b + R"(","scores":)" +
           scores + "}\n";
  };
  const std::string plain = R"({"P":[2,1],"Q":[-1,-1],"R":[0.5,0.5]})", tie = R"({"P":[0,0],"Q":[1,-1],"R":[-2,2]})";
  auto given = aggregating(folder) + settings{"aggregate.repeats=3",
                                              "aggregate.language_rule=true",
                                              "aggregate.banned_phrases=[\"as an AI\"]",
                                              "aggregate.banned_phrase_probability=1.0",
                                              "aggregate.label_noise_after_rule=1",
                                              "aggregate.require_order_agreement=true"};
  write_bytes(folder / "judgements.jsonl", line(english, answer, answer + " It is so.", plain) +  // nothing special
                                               line(english, answer, german, plain) +             // rule: language
                                               line(english, german, german + " Ja.", plain) +    // dropped: language
                                               line(english, answer, answer + " So.", tie) +      // dropped: tie
                                               line("5", "6", "as an AI, no", plain));            // rule: phrase
  run_stage(run_aggregate, given);
  const auto records = read_records<preference_record>(folder / "preferences.jsonl");
  REQUIRE(records.size() == 9);
  // P decides for the first response; noise turns what a rule decided.
  CHECK(records[0].chosen() == answer);
  CHECK(records[3].chosen() == german);
  CHECK(records[6].chosen() == "as an AI, no");
  const auto summary = nlohmann::json::parse(read_bytes(folder / "preferences.summary.json"));
  CHECK(summary["pairs"] == 5);
  CHECK(summary["draws"] == 15);
  CHECK(summary["preferences"] == 9);
  CHECK(summary["dropped"]["no_principle_tells_apart"] == 3);
  CHECK(summary["dropped"]["neither_in_the_prompts_language"] == 3);
  CHECK(summary["decided_by_rule"]["banned_phrase"] == 3);
  CHECK(summary["decided_by_rule"]["language"] == 3);
  CHECK(summary["pairs_of_unknown_language"] == 1);
  CHECK(summary["labels_turned_by_noise"] == 6);
  CHECK(summary["principles"][0]["name"] == "P");
  CHECK(summary["principles"][0]["drawn"] == 9);
  CHECK(summary["principles"][0]["dominant"] == 9);
  CHECK(summary["principles"][1]["pairs_without_score"] == 1);
  CHECK(summary["principles"][0]["order_consistency"] == Approx(0.8));
}

TEST_CASE("aggregate: a prompt whose language cannot be told loses no pair") {
  const temporary_directory folder;
  const auto given = aggregating(folder) + settings{"aggregate.language_rule=true"};
  write_bytes(folder / "judgements.jsonl",
              R"({"instruction":"2 + 2 = ?","output_1":"The sum of these two numbers is four, as everybody knows.",)"
              R"("output_2":"It is the number that follows three and comes before five.",)"
              R"("scores":{"P":[2,1],"Q":[-1,-1],"R":[0.5,0.5]}})"
              "\n");
  run_stage(run_aggregate, given);
  CHECK(read_records<preference_record>(folder / "preferences.jsonl").size() == 1);
}

TEST_CASE("aggregate: principles that are judged need not be drawn") {
  const temporary_directory folder;
  const settings one_each{"aggregate.set_sizes=[1.0]", "aggregate.repeats=40"};
  const auto drawn = [&](const settings& more) {
    run_stage(run_aggregate, aggregating(folder) + one_each + more);
    std::map<std::string, int> out;
    for (const auto& record : read_records<preference_record>(folder / "preferences.jsonl"))
      ++out[record.principles.at(0).name];
    return out;
  };
  CHECK(drawn({}).size() == 3);
  const auto two = drawn({"aggregate.never_drawn=[\"P\"]"});
  CHECK(two.size() == 2);
  CHECK_FALSE(two.contains("P"));
  CHECK_THROWS_AS(drawn({"aggregate.never_drawn=[\"S\"]"}), config_error);
  CHECK_THROWS_AS(drawn({"aggregate.never_drawn=[\"P\", \"Q\", \"R\"]"}), config_error);

  // The released code judges the shipped eleven and draws from eight.
  std::string scores;
  const auto shipped_file = source_dir() / "reference_trainer/principles/reward_model.json";
  const auto shipped_list = nlohmann::json::parse(read_bytes(shipped_file));
  for (const auto& each : shipped_list)
    scores += (scores.empty() ? "\"" : ",\"") + each["dimension"].get<std::string>() + "\":[" +
              std::to_string(1 + scores.size()) + ",2]";
  const settings given{"aggregate.judgements=" + (folder / "eleven.jsonl").string(), "aggregate.language_rule=false",
                       "aggregate.repeats=200", "out=" + (folder / "eight.jsonl").string()};
  std::string lines;
  for (const char* sign : {"", "-"}) {
    std::string signed_scores = scores;
    for (auto at = signed_scores.find('['); at != std::string::npos; at = signed_scores.find('[', at + 1))
      signed_scores.replace(at, 1, std::string("[") + sign);
    lines += R"({"instruction":"p","output_1":"a","output_2":"b","scores":{)" + signed_scores + "}}\n";
  }
  write_bytes(folder / "eleven.jsonl", lines);
  const auto names = [&](const std::string& preset) {
    run_stage(run_aggregate, given + settings{"aggregate.preset=" + preset});
    std::set<std::string> out;
    for (const auto& record : read_records<preference_record>(folder / "eight.jsonl"))
      for (const auto& each : record.principles) out.insert(each.name);
    return out;
  };
  CHECK(names("paper").size() == 11);
  const auto eight = names("salmon_code");
  CHECK(eight.size() == 8);
  for (const char* left_out : {"Overall Helpful", "Natural and Fluent", "Multilingual"})
    CHECK_FALSE(eight.contains(left_out));
}

namespace {

// Pairs in which response 2 alone holds the phrase and the principle prefers it, so that the rule turns what it
// decides.
settings with_phrases(const temporary_directory& folder, std::size_t pairs) {
  std::string lines;
  for (std::size_t i = 0; i < pairs; ++i)
    lines +=
        R"({"instruction":"Why is the sky blue in the morning?","output_1":"Because of the way that light is scattered.",)"
        R"("output_2":"as an ai LANGUAGE model I cannot see the sky in the morning.","scores":{"P":[-1,-2],"Q":[-1,-2],"R":[-1,-)" +
        std::to_string(2 + i % 3) + "]}}\n";
  write_bytes(folder / "judgements.jsonl", lines);
  write_bytes(folder / "principles.json", principles);
  return {"aggregate.judgements=" + (folder / "judgements.jsonl").string(),
          "aggregate.principles=" + (folder / "principles.json").string(),
          "aggregate.negation_probability=0.0",
          "aggregate.divide_by_variance=false",
          "aggregate.label_noise=0.0",
          "out=" + (folder / "preferences.jsonl").string()};
}

std::size_t decided_by_phrase(const temporary_directory& folder, const settings& more) {
  run_stage(run_aggregate, with_phrases(folder, 400) + more);
  const auto summary = json::parse(read_bytes(folder / "preferences.summary.json"));
  CHECK(summary["preferences"] == summary["draws"]);
  return summary["decided_by_rule"]["banned_phrase"];
}

}  // namespace

TEST_CASE("aggregate: salmon_code bans the released code's phrase, with its chance and its noise") {
  const temporary_directory folder;
  // 400 pairs × 4 draws, each decided with probability ½: deviation 20.
  const auto decided = decided_by_phrase(folder, {"aggregate.preset=salmon_code"});
  CHECK(decided > 700);
  CHECK(decided < 900);
  const auto summary = json::parse(read_bytes(folder / "preferences.summary.json"));
  const auto turned = summary["labels_turned_by_noise"].get<double>() / static_cast<double>(decided);
  CHECK(turned > 0.17);  // ¼ of about 800: deviation 0.015
  CHECK(turned < 0.33);

  CHECK(decided_by_phrase(folder, {"aggregate.preset=salmon_code", "aggregate.banned_phrases=[]"}) == 0);
  CHECK(decided_by_phrase(folder, {"aggregate.preset=salmon_code", "aggregate.banned_phrase_probability=0"}) == 0);
  CHECK(decided_by_phrase(folder, {"aggregate.preset=salmon_code", "aggregate.banned_phrase_probability=1"}) == 1600);
  CHECK(decided_by_phrase(folder, {"aggregate.preset=salmon_code", "aggregate.banned_phrases=[\"I cannot smell\"]"}) ==
        0);
  CHECK(decided_by_phrase(folder, {"aggregate.preset=paper"}) == 0);
}

TEST_CASE("aggregate: a banned phrase that could decide nothing is refused") {
  const temporary_directory folder;
  const auto given = with_phrases(folder, 1);
  CHECK_THROWS_WITH(run_stage(run_aggregate, given + settings{"aggregate.banned_phrases=[\"as an AI\"]"}),
                    Catch::Matchers::ContainsSubstring("banned_phrase_probability is 0"));
  CHECK_THROWS_WITH(run_stage(run_aggregate, given + settings{"aggregate.banned_phrase_probability=0.5"}),
                    Catch::Matchers::ContainsSubstring("0 without aggregate.banned_phrases"));
  CHECK_THROWS_WITH(
      run_stage(run_aggregate, given + settings{"aggregate.preset=salmon_code", "aggregate.banned_phrases=[\"\"]"}),
      Catch::Matchers::ContainsSubstring("texts that are not empty"));
}
