#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "files/json_file.hpp"
#include "records/records.hpp"
#include "support/prompt_sets.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using namespace coho::test::prompt_sets;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("prompts: parts of a collection are drawn each for itself, and inference questions left out") {
  const temporary_directory folder;
  std::string lines;
  const auto add = [&](const std::string& part, std::size_t count, const std::string& words) {
    for (std::size_t i = 0; i < count; ++i)
      lines += R"({"id":")" + part + "." + std::to_string(i) + R"(","system_prompt":"","question":")" + part + " " +
               words + std::to_string(i) + R"(","response":"x"})" + "\n";
  };
  add("niv", 50, "number ");
  add("flan", 9, "number ");
  add("flan", 9, "Premise and hypothesis ");
  add("t0", 6, "number ");
  add("cot", 30, "number ");
  add("xyz", 5, "number ");
  write_bytes(folder / "orca.jsonl", lines);
  const auto given = to(folder) + source("orca", folder / "orca.jsonl",
                                         {"count=34", "parts=['niv','flan','t0','cot']", "leave_out_inference=true",
                                          "question_type=reasoning"});
  prepare(given);
  check_sums(folder / "out.counts.json");
  const auto counts = read_json(folder / "out.counts.json").at("sources")[0];
  // 34 = 9 + 9 + 8 + 8.
  CHECK(counts.at("parts").at("niv") == json{{"read", 50}, {"drawn", 9}, {"asked", 9}});
  CHECK(counts.at("parts").at("flan") == json{{"read", 18}, {"drawn", 9}, {"asked", 9}});
  CHECK(counts.at("parts").at("t0") == json{{"read", 6}, {"drawn", 6}, {"asked", 8}});
  CHECK(counts.at("parts").at("cot") == json{{"read", 30}, {"drawn", 8}, {"asked", 8}});
  CHECK(counts.at("short_by") == 2);
  CHECK(counts.at("removed").at("part") == 5);
  CHECK(counts.at("removed").at("inference") == 9);
  std::map<std::string, std::size_t> drawn;
  for (const auto& record : read_records<prompt_record>(folder / "out.jsonl")) {
    CHECK(record.type == prompt_type::reasoning);
    ++drawn[record.instruction.substr(0, record.instruction.find(' '))];
  }
  CHECK(drawn == std::map<std::string, std::size_t>{{"cot", 8}, {"flan", 9}, {"niv", 9}, {"t0", 6}});
  CHECK_THROWS_WITH(prepare(given + settings{"prompts.require_counts=true"}),
                    ContainsSubstring("source orca, part t0: 6 prompts remain of the 8"));
  CHECK_THROWS_AS(prepare(given + settings{"prompts.source.orca.parts=['cot','cot']"}), config_error);
  // Without a count all of the parts that are named.
  prepare(to(folder) + source("orca", folder / "orca.jsonl", {"parts=['t0','flan']"}));
  CHECK(texts_of(folder / "out.jsonl").size() == 24);
}

TEST_CASE("prompts: the categories of a source that are wanted") {
  const temporary_directory folder;
  write_bytes(folder / "dolly.jsonl", R"({"instruction":"one two","response":"x","category":"open_qa"}
{"instruction":"three four","context":"five","response":"x","category":"closed_qa"}
{"instruction":"six seven","response":"x","category":"brainstorming"}
{"instruction":"eight nine","response":"x"}
)");
  prepare(to(folder) + source("dolly", folder / "dolly.jsonl", {"categories=['open_qa','brainstorming']"}));
  CHECK(set_of(texts_of(folder / "out.jsonl")) == std::set<std::string>{"one two", "six seven"});
  CHECK(read_json(folder / "out.counts.json").at("total").at("removed").at("category") == 2);
  check_sums(folder / "out.counts.json");
}

TEST_CASE(
    "prompts: held-out prompts are a set of their own, decided by the seed, and another set can do without them") {
  const temporary_directory folder;
  const auto a = numbered(folder, "a", 60), b = numbered(folder, "b", 40);
  std::filesystem::create_directory(folder / "sets");
  const auto run = [&](const settings& more, const std::string& out) {
    prepare(to(folder, out) + source("a", a, {"count=30"}) + source("b", b) + more);
    return texts_of(folder / out);
  };
  const settings holding{"prompts.held_out=12", "prompts.held_out_file=evaluation.jsonl"};
  const auto all = set_of(run({}, "all.jsonl"));
  const auto rest = set_of(run(holding, "sets/out.jsonl"));
  const auto held = set_of(texts_of(folder / "sets/evaluation.jsonl"));
  CHECK(held.size() == 12);
  CHECK(rest.size() == 58);
  auto both = rest;
  both.insert(held.begin(), held.end());
  CHECK(both == all);  // what is drawn does not depend on what is held out
  check_sums(folder / "sets/out.counts.json");
  const auto counts = read_json(folder / "sets/out.counts.json");
  CHECK(counts.at("total").at("removed").at("held_out") == 12);
  CHECK_FALSE(counts.at("sources")[0].contains("short_by"));
  run(holding, "again.jsonl");
  CHECK(read_bytes(folder / "evaluation.jsonl") == read_bytes(folder / "sets/evaluation.jsonl"));
  run(holding + settings{"seed=2"}, "other.jsonl");
  CHECK(set_of(texts_of(folder / "evaluation.jsonl")) != held);

  const auto without = set_of(run({"prompts.exclude=" + (folder / "sets/evaluation.jsonl").string()}, "without.jsonl"));
  for (const auto& text : held) CHECK_FALSE(without.contains(text));
  CHECK(read_json(folder / "without.counts.json").at("total").at("removed").at("excluded") >= 12);

  // A run is over when all its files are there.
  std::filesystem::remove(folder / "sets/evaluation.jsonl");
  prepare(to(folder, "sets/out.jsonl") + source("a", a, {"count=30"}) + source("b", b) + holding, true);
  CHECK(set_of(texts_of(folder / "sets/evaluation.jsonl")) == held);

  run({"prompts.held_out=3"}, "named.jsonl");
  CHECK(texts_of(folder / "named_held_out.jsonl").size() == 3);
  CHECK_THROWS_WITH(run({"prompts.held_out=70"}, "none.jsonl"), ContainsSubstring("leaves none of the 70"));
  CHECK_THROWS_AS(run({"prompts.held_out=3", "prompts.held_out_file=none.jsonl"}, "none.jsonl"), config_error);
  CHECK_THROWS_AS(run({"prompts.exclude=" + (folder / "without.jsonl").string()}, "without.jsonl"), config_error);
}

TEST_CASE("prompts: a maximum of 0 tokens is none") {
  const temporary_directory folder;
  std::string endless;
  for (int i = 0; i < 300; ++i) endless += "why ";
  write_bytes(folder / "a.jsonl", "\"one two\"\n\"" + endless + "\"\n");
  const auto given = to(folder) + source("a", folder / "a.jsonl");
  prepare(given);
  CHECK(texts_of(folder / "out.jsonl").size() == 1);
  prepare(given + settings{"prompts.maximum_tokens=0"});
  CHECK(texts_of(folder / "out.jsonl").size() == 2);
}
