#include "datasets/preference_data.hpp"

#include <numeric>
#include <set>

#include <coho/error.hpp>
#include <coho/principle/guideline.hpp>
#include <coho/prompt/reward_prompt.hpp>

#include "support/catch.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string shp(const std::string& post, const std::string& better, const std::string& ratio = "3") {
  return R"({"history":")" + post + R"(","human_ref_A":"worse","human_ref_B":")" + better +
         R"(","labels":0,"score_ratio":)" + ratio + "}\n";
}

preference_sets opened(const settings& given, bool plain = false) {
  const config options(given);
  return open_preferences(read_given(options, "reward", preference_files{.plain = plain}),
                          options.get<std::uint64_t>("seed", 1));
}

std::vector<std::string> prompts_of(preference_set& set) {
  std::vector<std::size_t> all(set.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::vector<std::string> out;
  for (const auto& pair : set.load(all)) out.emplace_back(pair.chosen.prompt);
  return out;
}

}  // namespace

TEST_CASE("preference data: a principle's line is its text, or the collection's by its name") {
  const std::vector<principle> collection{
      {.name = "Concise", .definition = "Be brief.", .negative_definition = "Ramble."},
      {.name = "Honest", .definition = "Be true."}};
  preference_record record;
  CHECK(principle_definitions(record, collection).empty());
  record.principles = {{.name = "Concise", .negated = true}, {.name = "Concise"}, {.name = "Kind", .text = "Be kind."}};
  CHECK(principle_definitions(record, collection) == std::vector<std::string>{"Ramble.", "Be brief.", "Be kind."});
  CHECK_THROWS_AS(principle_definitions(record, {}), argument_error);
  record.principles = {{.name = "Honest", .negated = true}};
  CHECK_THROWS_AS(principle_definitions(record, collection), argument_error);
}

TEST_CASE("preference data: `reward` trains on the text with which `ppo` asks, whatever line breaks a principle has") {
  const std::vector<principle> collection{{.name = "Plain", .definition = "Say it\nplainly.\r\n"},
                                          {.name = "Brief", .definition = "\nBe brief. "},
                                          {.name = "True", .definition = "Be true."}};
  preference_record record{.prompt = {.instruction = "Who?"}, .response_1 = "I.", .response_2 = "You."};
  record.principles = {{.name = "Plain"}, {.name = "Brief", .text = "\nBe brief. "}, {.name = "True"}};
  const reward_prompt prompt(
      prompt_template(template_kind::reward, "{Input}\n{Output}\n{Dimensions}\nIt is", "reward.txt"));
  const preference_batch batch({record}, collection);
  const reward_query& trained = batch.pairs().front().chosen;

  const principle_sampler sampler(collection);
  rng random(1);
  const auto asked = compose_guideline({}, sampler.definitions(std::vector<std::size_t>{0, 1, 2}),
                                       intervention_position::last, random);
  CHECK(prompt(trained.prompt, trained.response, trained.principles) == prompt("Who?", "I.", asked));
  CHECK(prompt("Who?", "I.", asked) == "Who?\nI.\n- Say it plainly.\n- Be brief.\n- Be true.\nIt is");
}

TEST_CASE("preference data: several files are one set, and pairs are fetched in any order") {
  const temporary_directory folder;
  write_bytes(folder / "shp.jsonl", shp("one", "b1") + shp("two", "b2", "1.1") + shp("three", "b3"));
  write_bytes(folder / "hh.jsonl",
              R"({"chosen":"\n\nHuman: four\n\nAssistant: yes","rejected":"\n\nHuman: four\n\nAssistant: no"})"
              "\n");
  auto [training, held_out, notes] =
      opened({"reward.data=['" + (folder / "shp.jsonl").string() + "', '" + (folder / "hh.jsonl").string() + "']"});
  CHECK_FALSE(held_out.has_value());
  CHECK(notes == std::vector<std::string>{(folder / "shp.jsonl").string() + ": pairs 2, left out 1",
                                          (folder / "hh.jsonl").string() + ": pairs 1, left out 0"});
  REQUIRE(training.size() == 3);
  const std::vector<std::size_t> wanted{2, 0};
  const auto pairs = training.load(wanted);
  REQUIRE(pairs.size() == 2);
  CHECK(pairs[0].chosen.prompt == "four");
  CHECK(pairs[0].chosen.response == "yes");
  CHECK(pairs[0].rejected.response == "no");
  CHECK(pairs[1].chosen.response == "b1");
  CHECK(pairs[1].rejected.response == "worse");
  CHECK(pairs[1].chosen.principles.empty());

  auto sample = training.sample(2, 7), again = training.sample(2, 7);
  CHECK(sample.size() == 2);
  CHECK(prompts_of(sample) == prompts_of(again));
  CHECK(training.sample(9, 7).size() == 3);
}

TEST_CASE("preference data: the released form's names get their text from a file of principles") {
  const temporary_directory folder;
  write_bytes(
      folder / "salmon.json",
      R"x([{"instruction":"q","input":"","output_1":"a","output_2":"b","preference":2,"dimensions":"('Concise',)",)x"
      R"x("negative_definitions":"(1,)","dimension_scores":"(-2.0,)"}])x");
  const std::string data = "reward.data=" + (folder / "salmon.json").string();
  CHECK_THROWS_WITH(opened({data}), ContainsSubstring("salmon.json") && ContainsSubstring("without its definition"));
  auto training = opened({data, "reward.principles=reward_model"}).training;
  const std::vector<std::size_t> first{0};
  const auto pairs = training.load(first);
  REQUIRE(pairs[0].chosen.principles.size() == 1);
  CHECK_THAT(pairs[0].chosen.principles[0], ContainsSubstring("must not be brief"));
}

TEST_CASE("preference data: all pairs of a prompt are on one side of the split, the same each time") {
  const temporary_directory folder;
  std::string lines;
  for (int i = 0; i < 600; ++i) lines += shp("post " + std::to_string(i % 200), "b" + std::to_string(i));
  write_bytes(folder / "shp.jsonl", lines);
  const settings given{"reward.data=" + (folder / "shp.jsonl").string(), "reward.evaluation_share=0.25"};
  auto [training, held_out, notes] = opened(given);
  REQUIRE(held_out.has_value());
  CHECK(notes.back() == "held out: " + std::to_string(held_out->size()) + " of 600 pairs");
  CHECK(training.size() + held_out->size() == 600);
  CHECK(held_out->size() > 90);
  CHECK(held_out->size() < 210);
  const auto trained = prompts_of(training), held = prompts_of(*held_out);
  const std::set<std::string> trained_prompts(trained.begin(), trained.end());
  for (const auto& prompt : held) CHECK(trained_prompts.count(prompt) == 0);
  auto again = opened(given);
  CHECK(prompts_of(*again.held_out) == held);
  auto other = opened(given + settings{"seed=9"});
  CHECK(prompts_of(*other.held_out) != held);
  // What is not evaluated for want of time is not trained on either.
  auto limited = opened(given + settings{"reward.evaluation_limit=5"});
  CHECK(limited.held_out->size() == 5);
  CHECK(limited.training.size() == training.size());
}

TEST_CASE("preference data: wrong input") {
  const temporary_directory folder;
  write_bytes(folder / "shp.jsonl", shp("one", "b1"));
  const std::string data = "reward.data=" + (folder / "shp.jsonl").string();
  CHECK_THROWS_AS(opened({}), config_error);
  CHECK_THROWS_AS(opened({"reward.data=[]"}), config_error);
  CHECK_THROWS_AS(opened({data, "reward.evaluation_share=1"}), config_error);
  CHECK_THROWS_AS(opened({data, "reward.evaluation_share=0.1", "reward.evaluation=x.jsonl"}), config_error);
  CHECK_THROWS_AS(opened({data, "reward.evaluation=" + (folder / "none.jsonl").string()}), file_error);
  CHECK_THROWS_AS(opened({data, "reward.principles=" + (folder / "none.json").string()}), file_error);
  // One prompt is on one side: the other has none.
  CHECK_THROWS_WITH(opened({data, "reward.evaluation_share=0.5"}), ContainsSubstring("leaves no pair"));
  CHECK_THROWS_AS(opened({data, "reward.principles=reward_model"}, true), config_error);
  write_bytes(
      folder / "guided.jsonl",
      R"({"instruction":"q","output_1":"a","output_2":"b","preference":1,"principles":[{"name":"K","text":"Be kind."}]})");
  const std::string guided = "reward.data=" + (folder / "guided.jsonl").string();
  CHECK(opened({guided}).training.size() == 1);
  CHECK_THROWS_WITH(opened({guided}, true), ContainsSubstring("line 1: the record has principles"));
}

TEST_CASE("preference data: a margin that a record without principles brings is the pair's, an aggregated one is not") {
  const temporary_directory folder;
  write_bytes(folder / "pairs.jsonl",
              R"({"prompt":"one","chosen":"yes","rejected":"no","margin":3.0}
{"prompt":"two","chosen":"yes","rejected":"no"}
{"instruction":"three","output_1":"no","output_2":"yes","preference":2,"margin":1.5}
{"instruction":"four","output_1":"no","output_2":"yes","preference":2,"principles":[{"name":"a","negated":false,"text":"be kind.","score":-2.5}],"dominant":0,"margin":2.5}
)");
  const settings given{"reward.data=" + (folder / "pairs.jsonl").string()};
  const auto margins = [](preference_set& set) {
    std::vector<std::size_t> all(set.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    std::vector<double> out;
    for (const auto& pair : set.load(all)) out.push_back(pair.loss_margin);
    return out;
  };
  auto sets = opened(given);
  CHECK(margins(sets.training) == std::vector<double>{3, 0, 1.5, 0});
  CHECK(sets.notes.back().find("2 of 4 pairs have one") != std::string::npos);
  auto none = opened(given + settings{"reward.margins=none"});
  CHECK(margins(none.training) == std::vector<double>{0, 0, 0, 0});
  CHECK(none.notes.back().find("not used") != std::string::npos);
  CHECK_THROWS_AS(opened(given + settings{"reward.margins=all"}), config_error);
  write_bytes(folder / "pairs.jsonl", R"({"prompt":"one","chosen":"yes","rejected":"no","margin":"large"})"
                                      "\n");
  CHECK_THROWS_AS(opened(given), file_error);
}

TEST_CASE("preference data: pairs that are written are read back as they were") {
  const temporary_directory folder;
  write_bytes(folder / "pairs.jsonl",
              R"({"prompt":"one","chosen":"yes","rejected":"no","margin":3.0}
{"instruction":"two","input":"in","output_1":"no","output_2":"yes","preference":2,"principles":[{"name":"a","negated":true,"text":"be kind.","score":-2.5}],"dominant":0,"margin":2.5}
)");
  auto sets = opened({"reward.data=" + (folder / "pairs.jsonl").string()});
  write_pairs(sets.training, folder / "again.jsonl");
  CHECK((read_records<preference_record>(folder / "again.jsonl") ==
         read_records<preference_record>(folder / "pairs.jsonl")));
}

TEST_CASE(
    "preference data: pairs that are read alike are left out of training, blank responses counted; both are said") {
  const temporary_directory folder;
  const auto pair = [](const std::string& prompt, const std::string& chosen, const std::string& rejected) {
    return R"({"prompt":")" + prompt + R"(","chosen":")" + chosen + R"(","rejected":")" + rejected + "\"}\n";
  };
  write_bytes(folder / "a.jsonl", pair("one", "aaaa", "aaab") + pair("two", "ab", "b") + pair("three", "x", " "));
  const config options(settings{"reward.data='" + (folder / "a.jsonl").string() + "'"});
  const auto files = read_given<preference_files>(options, "reward");
  const auto by_two = [](const preference_pair& pair) {
    return pair.chosen.response.substr(0, 2) == pair.rejected.response.substr(0, 2);
  };
  auto [training, held_out, notes] = open_preferences(files, 1, by_two);
  CHECK(prompts_of(training) == std::vector<std::string>{"two", "three"});
  std::string all;
  for (const auto& note : notes) all += note + "\n";
  CHECK_THAT(all, ContainsSubstring("left out: 1 pairs whose responses are identical in the part"));
  CHECK_THAT(all, ContainsSubstring("empty or white space: 1"));
  CHECK_THROWS_WITH(open_preferences(files, 1, [](const preference_pair&) { return true; }),
                    ContainsSubstring("no pair is left to train on"));
}
