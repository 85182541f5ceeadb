#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "files/json_file.hpp"
#include "models/prompter.hpp"
#include "records/records.hpp"
#include "support/process_memory.hpp"
#include "support/prompt_sets.hpp"
#include "support/run_program.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using namespace coho::test::prompt_sets;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("prompts: every form in one set, with source, language, type and length bonus, and counts that add up") {
  const temporary_directory folder;
  write_bytes(
      folder / "share.json",
      R"([{"id":"aaaaaaa_0","conversations":[{"from":"human","value":"Explain this\n```pythonCopy code\nx=1\n```\n\n1 / 1"},
{"from":"gpt","value":"So."}]},
{"id":"aaaaaaa_1","conversations":[{"from":"human","value":"And then?"}]},
{"id":"b_0","conversations":[]},
{"id":"c_0","conversations":[{"from":"human","value":"Why is  the sky BLUE?"}]},
{"id":"d_0","conversations":[{"from":"human","value":"broken \ud83d character"}]},
{"id":"e_0","conversations":[{"from":"human","value":"\ufffd\ufffd\ufffd ?"}]}])");
  write_bytes(
      folder / "dolly.jsonl",
      R"({"instruction":"Wer schläft unter dem Tisch?","context":"Der Hund schläft unter dem großen Tisch.","response":"x","category":"closed_qa"}
{"instruction":" why is the sky\nblue? ","context":"","response":"x","category":"open_qa"}
{"instruction":"x","context":"","response":"x","category":"open_qa"}
)");
  std::filesystem::create_directories(folder / "math/algebra");
  write_bytes(folder / "math/algebra/1.json",
              "{\n    \"problem\": \"Find the sum of one and two.\",\n    \"solution\": \"3\"\n}\n");
  std::string endless;
  for (int i = 0; i < 200; ++i) endless += "why ";
  write_bytes(folder / "math/algebra/2.json", "{\n    \"problem\": \"" + endless + "\",\n    \"solution\": \"3\"\n}\n");
  write_bytes(folder / "math/README.txt", "not data");

  const auto table =
      prepare(to(folder) + source("share", folder / "share.json") +
              source("dolly", folder / "dolly.jsonl", {"question_type=red_teaming"}) + source("math", folder / "math") +
              settings{"prompts.reasoning_length_bonus=-0.4", "prompts.source.dolly.length_bonus=0.5",
                       "prompts.minimum_tokens=3"});

  const auto records = read_records<prompt_record>(folder / "out.jsonl");
  REQUIRE(records.size() == 5);
  const auto of = [&](const std::string& opening) {
    return *std::ranges::find_if(records, [&](const auto& r) { return r.instruction.starts_with(opening); });
  };
  CHECK(of("Explain").text() == "Explain this\n```python\nx=1\n```");
  CHECK(of("Explain").source == "share");
  CHECK(of("Explain").type == prompt_type::general);
  CHECK(of("broken").text() == "broken  character");
  CHECK(of("Why").text() == "Why is  the sky BLUE?");
  CHECK(of("Wer").input == "Der Hund schläft unter dem großen Tisch.");
  CHECK(of("Wer").language == "de");
  CHECK(of("Wer").type == prompt_type::red_teaming);
  CHECK(of("Wer").length_bonus == 0.5);
  CHECK(of("Find").type == prompt_type::reasoning);
  CHECK(of("Find").length_bonus == -0.4);
  CHECK(of("Find").language == "en");
  CHECK_FALSE(of("Why").length_bonus.has_value());

  check_sums(folder / "out.counts.json");
  const auto counts = read_json(folder / "out.counts.json");
  const auto& share = counts.at("sources")[0];
  CHECK(share.at("read") == 6);
  CHECK(share.at("kept") == 3);
  CHECK(share.at("repaired") == 1);
  CHECK(share.at("removed").at("not_first_turn") == 1);
  CHECK(share.at("removed").at("empty") == 1);
  CHECK(share.at("removed").at("damaged") == 1);
  CHECK(counts.at("sources")[1].at("removed").at("duplicate") == 1);
  CHECK(counts.at("sources")[1].at("removed").at("too_short") == 1);
  CHECK(counts.at("sources")[2].at("removed").at("too_long") == 1);
  CHECK(counts.at("total").at("kept") == 5);
  CHECK_THAT(table, ContainsSubstring("not first turn"));
  CHECK_THAT(table, ContainsSubstring("total"));
}

TEST_CASE("prompts: so many of each source, drawn by the seed and not by the order of reading") {
  const temporary_directory folder;
  const auto a = numbered(folder, "a", 60), b = numbered(folder, "b", 40);
  const auto run = [&](const settings& more, const std::string& out) {
    prepare(to(folder, out) + source("a", a, {"count=20"}) + source("b", b) + more);
    check_sums(folder / (out.substr(0, out.find('.')) + ".counts.json"));
    return texts_of(folder / out);
  };
  const auto first = run({}, "1.jsonl");
  CHECK(first.size() == 60);
  CHECK(set_of(first).size() == 60);
  CHECK(std::ranges::count_if(first, [](const auto& text) { return text.starts_with("a "); }) == 20);
  CHECK_FALSE(std::ranges::is_sorted(first));
  CHECK(run({}, "2.jsonl") == first);
  CHECK(read_bytes(folder / "1.jsonl") == read_bytes(folder / "2.jsonl"));
  const auto other = run({"seed=2"}, "3.jsonl");
  CHECK(set_of(other) != set_of(first));
  numbered(folder, "a", 60, true);
  CHECK(run({}, "4.jsonl") == first);
  // A count that is overridden, to more and to none.
  const auto more = run({"prompts.source.a.count=30"}, "5.jsonl");
  CHECK(more.size() == 70);
  CHECK(std::ranges::includes(set_of(more), set_of(first)));
  CHECK(run({"prompts.source.a.count=0"}, "6.jsonl").size() == 40);
}

TEST_CASE("prompts: fewer than asked for is counted, or refused where the recipe says so") {
  const temporary_directory folder;
  const auto given = to(folder) + source("a", numbered(folder, "a", 10), {"count=12"});
  prepare(given);
  CHECK(texts_of(folder / "out.jsonl").size() == 10);
  CHECK(read_json(folder / "out.counts.json").at("sources")[0].at("short_by") == 2);
  std::filesystem::remove(folder / "out.jsonl");
  CHECK_THROWS_WITH(prepare(given + settings{"prompts.require_counts=true"}),
                    ContainsSubstring("source a: 10 prompts remain of the 12 that prompts.source.a.count asks for"));
  CHECK_FALSE(std::filesystem::exists(folder / "out.jsonl"));
  CHECK_FALSE(std::filesystem::exists(folder / "out.jsonl.partial"));
}

TEST_CASE("prompts: languages are those identified, or the record's own word where none is recognised") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl",
              R"({"message_id":"1","role":"prompter","text":"Der Hund schläft unter dem großen Tisch.","lang":"en"}
{"message_id":"2","role":"prompter","text":"Oi, tudo?","lang":"pt-BR"}
{"message_id":"3","role":"prompter","text":"12 + 13"}
{"message_id":"4","role":"prompter","text":"The dog sleeps under the big wooden table.","lang":"en"}
)");
  const auto kept = [&](const std::string& languages) {
    prepare(to(folder) + source("a", folder / "a.jsonl") + settings{"prompts.languages=" + languages});
    std::multiset<std::string> out;
    for (const auto& record : read_records<prompt_record>(folder / "out.jsonl")) out.insert(record.language);
    check_sums(folder / "out.counts.json");
    return out;
  };
  CHECK(kept("[]") == std::multiset<std::string>{"de", "en", "pt-BR", "un"});
  CHECK(kept("['de', 'pt']") == std::multiset<std::string>{"de", "pt-BR"});
  CHECK(kept("['en', 'un']") == std::multiset<std::string>{"en", "un"});
}

TEST_CASE("prompts: the sections of a recipe, one by default and the other with --rl") {
  const temporary_directory folder;
  numbered(folder, "a", 10);
  const std::string recipe = "[model]\npath = 'm'\nquantize = 'nf4'\n[prompts]\ntokenizer = '" + demo_base().string() +
                             "'\n[[prompts.source]]\nname = 'first'\npath = '" + (folder / "a.jsonl").string() +
                             "'\ncount = 4\n[rl_prompts]\ntokenizer = '" + demo_base().string() +
                             "'\n[[rl_prompts.source]]\nname = 'first'\npath = '" + (folder / "a.jsonl").string() +
                             "'\n";
  const auto run = [&](const settings& given, const std::string& text) {
    const std::vector<std::string> others{"model", "prompts", "rl_prompts"};
    const printed_text table;
    try {
      const auto options =
          config::parse(text, "r.toml", given + settings{"threads=1", "out=" + (folder / "o.jsonl").string()});
      options.allow_sections(others);
      stage_context context("test", options, false, false, true);
      run_prompts(options, context);
    } catch (const error& problem) {
      return std::string(problem.what());
    }
    return std::to_string(texts_of(folder / "o.jsonl").size());
  };
  CHECK(run({}, recipe) == "4");
  CHECK(run({"rl=true"}, recipe) == "10");
  CHECK(run({"prompts.source.first.count=7"}, recipe) == "7");
  CHECK(run({"rl=true", "rl_prompts.source.first.count=3"}, recipe) == "3");
  CHECK_THAT(run({"prompts.source.other.count=7"}, recipe), ContainsSubstring("--set prompts.source.other.count=7"));
  CHECK(run({"rl=true"}, recipe + "cuont = 3\n") ==
        "r.toml:15: unknown key rl_prompts.source.first.cuont; did you mean rl_prompts.source.first.count?");
  CHECK_THAT(run({"rl=true"}, recipe + "question_type = 'reasonin'\n"),
             ContainsSubstring("r.toml:15: rl_prompts.source.first.question_type = 'reasonin'"));
  CHECK_THAT(run({}, "[prompts]\ntokenizer = 't'\n"), ContainsSubstring("at least one [[prompts.source]]"));
  CHECK_THAT(run({}, "[prompts]\nmaximum_tokens = 1\ntokenizer = 't'\n"),
             ContainsSubstring("r.toml:2: prompts.maximum_tokens = 1"));
  CHECK_THAT(run({}, "[prompts]\n"), ContainsSubstring("model.path is not given"));
}

TEST_CASE("prompts: wrong input is refused with its place, and no file is left") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", "{\"prompt\":\"one two\"}\n{\"headline\":\"x\"}\n");
  write_bytes(folder / "empty.jsonl", "");
  write_bytes(folder / "torn.jsonl", "{\"prompt\":\"one two\"}\n{\"prompt\":\"tw");
  std::filesystem::create_directory(folder / "none");
  const auto fails_with = [&](const settings& given, const std::string& says) {
    CHECK_THROWS_WITH(prepare(to(folder) + given), ContainsSubstring(says));
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
      CHECK_FALSE(entry.path().filename().string().starts_with("out"));
  };
  fails_with(source("a", folder / "a.jsonl"), "a.jsonl: line 2: not a prompt record: found a record with the fields");
  fails_with(source("a", folder / "torn.jsonl"), "torn.jsonl: line 2: the JSON value is cut off");
  fails_with(source("a", folder / "empty.jsonl"), "empty.jsonl: has no records");
  fails_with(source("a", folder / "none"), "is a folder without .parquet");
  // Missing ones are told before others are read, those that are left out are not looked for.
  fails_with(source("a", folder / "a.jsonl") + source("b", folder / "missing.jsonl"), "missing.jsonl");
  fails_with(source("a", folder / "a.jsonl") + source("b", folder / "missing.jsonl", {"count=0"}), "a.jsonl: line 2");
  write_bytes(folder / "a.jsonl", "\"one two\"\n");
  fails_with(source("a", folder / "a.jsonl") + settings{"prompts.minimum_tokens=90"}, "no prompt remains of 1 records");
  fails_with(source("a", folder / "a.jsonl") + settings{"prompts.tokenizer=" + (folder / "none").string()},
             "tokenizer.model");
  const auto own = settings{"out=" + (folder / "a.jsonl").string(), "prompts.tokenizer=" + demo_base().string()};
  CHECK_THROWS_AS(prepare(own + source("a", folder / "a.jsonl")), config_error);
  CHECK(read_bytes(folder / "a.jsonl") == "\"one two\"\n");
}

TEST_CASE("prompts: an interrupted run leaves nothing under the final names, and starts over to the same set") {
  const temporary_directory folder;
  const auto given = to(folder) + source("a", numbered(folder, "a", 50), {"count=30"});
  set_interrupted(true);
  CHECK_THROWS(prepare(given));
  set_interrupted(false);
  CHECK_FALSE(std::filesystem::exists(folder / "out.jsonl"));
  prepare(given, true);
  const auto first = read_bytes(folder / "out.jsonl");
  // Ended: a resumed run touches nothing. Without the counts it had not ended.
  write_bytes(folder / "out.jsonl", "\"mine\"\n");
  prepare(given, true);
  CHECK(read_bytes(folder / "out.jsonl") == "\"mine\"\n");
  std::filesystem::remove(folder / "out.counts.json");
  prepare(given, true);
  CHECK(read_bytes(folder / "out.jsonl") == first);
  check_sums(folder / "out.counts.json");
}

TEST_CASE("prompts: what an earlier run wrote is neither a later one's result nor its source") {
  const temporary_directory folder;
  std::filesystem::create_directory(folder / "all");
  const auto file = numbered(folder, "all/a", 40);
  const auto lines = read_bytes(file);
  const auto with_seed = [&](const std::string& seed, const std::string& out) {
    return to(folder, out) + source("a", folder / "all", {"count=5"}) + settings{"seed=" + seed};
  };
  prepare(with_seed("1", "all/out.jsonl"));
  prepare(with_seed("2", "fresh.jsonl") + source("a", file));
  write_bytes(file, lines + "{");
  CHECK_THROWS_AS(prepare(with_seed("2", "all/out.jsonl")), file_error);
  write_bytes(file, lines);
  prepare(with_seed("2", "all/out.jsonl"), true);
  CHECK(read_bytes(folder / "all/out.jsonl") == read_bytes(folder / "fresh.jsonl"));
  CHECK(read_json(folder / "all/out.counts.json").at("total").at("read") == 40);
}

#ifdef COHO_EXECUTABLE
TEST_CASE("prompts: a killed run is started again by --resume and gives the set of one that was not killed") {
  const temporary_directory folder;
  numbered(folder, "a", 3000);
  const auto run = [&](const std::string& out, const std::function<bool()>& kill_when) {
    return run_program(COHO_EXECUTABLE,
                       {"prompts", "--model", demo_base().string(), "--resume", "--threads", "1", "--out", out, "--set",
                        "prompts.source.a.path=a.jsonl", "--set", "prompts.source.a.count=2500"},
                       folder.path(), kill_when);
  };
  const auto killed = run("out.jsonl", [&] { return std::filesystem::exists(folder / "out.jsonl.partial"); });
  CHECK(killed.status == 128 + SIGKILL);
  CHECK_FALSE(std::filesystem::exists(folder / "out.jsonl"));
  CHECK_FALSE(std::filesystem::exists(folder / "out.counts.json"));
  const auto again = run("out.jsonl", {});
  CHECK(again.status == 0);
  CHECK(run("other.jsonl", {}).out == again.out);
  CHECK(read_bytes(folder / "out.jsonl") == read_bytes(folder / "other.jsonl"));
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    names.insert(entry.path().filename().string());
  CHECK(names == std::set<std::string>{"a.jsonl", "other.counts.json", "other.jsonl", "out.counts.json", "out.jsonl"});
}
#endif

TEST_CASE("prompts: a file far larger than what is drawn takes memory for hashes alone") {
  const temporary_directory folder;
  constexpr std::size_t count = 40000;
  {
    std::ofstream file(folder / "big.jsonl");
    const std::string answer(1000, 'x');
    for (std::size_t i = 0; i < count; ++i)
      file << "{\"question\":\"what is " << i << "?\",\"answer\":\"" << answer << "\"}\n";
  }
  const auto given = to(folder) + source("big", folder / "big.jsonl", {"count=200"});
  write_bytes(folder / "small.jsonl", "\"one two\"\n");
  prepare(to(folder) + source("small", folder / "small.jsonl"));  // what a first run allocates for good
  const memory_peak peak;
  prepare(given);
  CHECK(texts_of(folder / "out.jsonl").size() == 200);
  CHECK(read_json(folder / "out.counts.json").at("sources")[0].at("removed").at("not_drawn") == count - 200);
  // 2^16 slots of 8 bytes, and half as many while they are moved; the file has 40 MB.
  if (peak.known()) CHECK(peak.bytes() < 6e6);
}

TEST_CASE("prompts: real collections mixed, each prompt once and within its limits") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const temporary_directory folder;
  prepare(settings{"out=" + (folder / "out.jsonl").string(),
                   "prompts.tokenizer=" + (*data / "tokenizers/llama2.model").string()} +
          source("oasst", *data / "prompts/en_100_tree.jsonl") +
          source("lottery", *data / "prompts/prompt_lottery_en_250_text.jsonl", {"count=100"}) +
          source("gsm8k", *data / "gsm8k/train_500.jsonl", {"count=200", "length_bonus=-0.4"}) +
          source("hh", *data / "hh_rlhf/harmless-base_test.jsonl.gz", {"count=300", "question_type=red_teaming"}) +
          source("bench", *data / "questions"));
  check_sums(folder / "out.counts.json");
  const auto records = read_records<prompt_record>(folder / "out.jsonl");
  CHECK(records.size() > 800);
  std::set<std::string> seen;
  std::size_t reasoning = 0, english = 0;
  for (const auto& record : records) {
    CHECK(seen.insert(record.text()).second);
    reasoning += record.type == prompt_type::reasoning && record.length_bonus == -0.4;
    english += record.language == "en";
    if (record.source == "hh") CHECK(record.type == prompt_type::red_teaming);
  }
  CHECK(reasoning == 200);
  CHECK(english > records.size() * 3 / 4);
}
