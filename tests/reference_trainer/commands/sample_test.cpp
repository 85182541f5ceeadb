#include <algorithm>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "records/records.hpp"
#include "support/catch.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t prompt_count = 7;

// Prompts of different lengths, so that batches are padded differently.
settings sampling(const temporary_directory& folder, const std::string& out) {
  std::string lines;
  for (std::size_t i = 0; i < prompt_count; ++i) {
    lines += R"({"instruction":"user: why is the fox)";
    for (std::size_t k = 0; k < i; ++k) lines += " very";
    lines += R"( red?\ncoho:"})"
             "\n";
  }
  write_bytes(folder / "prompts.jsonl", lines);
  return {"model.path=" + demo_base().string(),
          "sample.prompts=" + (folder / "prompts.jsonl").string(),
          "sample.responses=3",
          "generation.max_new_tokens=12",
          "generation.temperature=1.0",
          "out=" + (folder / out).string(),
          "seed=5"};
}

std::string sampled(const temporary_directory& folder, const std::string& out, const settings& more = {},
                    bool resume = false) {
  run_stage(run_sample, sampling(folder, out) + more, resume);
  return read_bytes(folder / out);
}

}  // namespace

TEST_CASE("sample: the most tokens of a response are the stage's own where it gives them") {
  const temporary_directory folder;
  const auto shared = sampled(folder, "a.jsonl");
  CHECK(sampled(folder, "b.jsonl", {"sample.max_new_tokens=12", "generation.max_new_tokens=40"}) == shared);
  CHECK(sampled(folder, "c.jsonl", {"sample.max_new_tokens=3"}) != shared);
  for (const auto& record : read_records<sample_record>(folder / "c.jsonl"))
    for (const auto& response : record.responses) CHECK(std::ranges::count(response, ' ') <= 3);
  CHECK(sampled(folder, "s.jsonl", {"sample.slots=2"}) == shared);
  CHECK_THROWS_AS(sampled(folder, "d.jsonl", {"sample.max_new_tokens=0"}), config_error);
  CHECK_THROWS_AS(sampled(folder, "d.jsonl", {"sample.slots=0"}), config_error);
}

TEST_CASE("sample: every prompt comes back in order with the responses asked for") {
  const temporary_directory folder;
  sampled(folder, "a.jsonl");
  const auto prompts = read_records<prompt_record>(folder / "prompts.jsonl");
  const auto samples = read_records<sample_record>(folder / "a.jsonl");
  REQUIRE(samples.size() == prompt_count);
  std::size_t different = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CHECK(samples[i].prompt == prompts[i]);
    REQUIRE(samples[i].responses.size() == 3);
    CHECK(samples[i].finished.size() == 3);
    different += samples[i].responses[0] != samples[i].responses[1];
  }
  CHECK(different > prompt_count / 2);
  CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl.partial"));
}

TEST_CASE("sample: the file depends on the seed, not on threads or batch") {
  const temporary_directory folder;
  const auto whole = sampled(folder, "a.jsonl");
  CHECK(sampled(folder, "threads.jsonl", {"threads=2"}) == whole);
  CHECK(sampled(folder, "batch.jsonl", {"sample.batch=2"}) == whole);
  CHECK(sampled(folder, "seed.jsonl", {"seed=6"}) != whole);
}

TEST_CASE("sample: a resumed file equals one of an uninterrupted run") {
  const temporary_directory folder;
  const auto whole = sampled(folder, "a.jsonl");
  std::size_t third = 0;
  for (int line = 0; line < 3; ++line) third = whole.find('\n', third) + 1;
  SECTION("torn in the middle of a record") { write_bytes(folder / "b.jsonl.partial", whole.substr(0, third + 20)); }
  SECTION("cut after a record") { write_bytes(folder / "b.jsonl.partial", whole.substr(0, third)); }
  SECTION("cut before its end of line") { write_bytes(folder / "b.jsonl.partial", whole.substr(0, third - 1)); }
  SECTION("not begun") {}
  SECTION("complete") { write_bytes(folder / "b.jsonl", whole); }
  CHECK(sampled(folder, "b.jsonl", {}, true) == whole);
  CHECK_FALSE(std::filesystem::exists(folder / "b.jsonl.partial"));
}

TEST_CASE("sample: a template's words are computed once, and the responses stay what they are") {
  const temporary_directory folder;
  // The template's text and the text itself, which has no head in common beyond a few tokens in the second file.
  const std::string head = "user: the fox is red. the owl is gray. the owl likes hay. the fox likes wind. ";
  write_bytes(folder / "t.txt", head + "{Input}");
  const auto wrapped = sampled(folder, "wrapped.jsonl", {"prompt.template=" + (folder / "t.txt").string()});
  std::string lines = R"({"instruction":"why?"})"
                      "\n";
  for (const auto& record : read_records<prompt_record>(folder / "prompts.jsonl"))
    lines += nlohmann::json{{"instruction", head + record.instruction}}.dump() + "\n";
  write_bytes(folder / "whole.jsonl", lines);
  run_stage(run_sample,
            sampling(folder, "plain.jsonl") +
                settings{"sample.prompts=" + (folder / "whole.jsonl").string(), "generation.temperature=0"});
  sampled(folder, "greedy.jsonl", {"prompt.template=" + (folder / "t.txt").string(), "generation.temperature=0"});
  const auto plain = read_records<sample_record>(folder / "plain.jsonl"),
             greedy = read_records<sample_record>(folder / "greedy.jsonl");
  REQUIRE(plain.size() == greedy.size() + 1);
  for (std::size_t i = 0; i < greedy.size(); ++i) CHECK(plain[i + 1].responses == greedy[i].responses);
  write_bytes(folder / "again.jsonl.partial", wrapped.substr(0, wrapped.size() / 2));
  CHECK(sampled(folder, "again.jsonl", {"prompt.template=" + (folder / "t.txt").string()}, true) == wrapped);
}

TEST_CASE("sample: a bad line at the end is found before anything is sampled") {
  const temporary_directory folder;
  const auto given = sampling(folder, "a.jsonl");
  write_bytes(folder / "prompts.jsonl", read_bytes(folder / "prompts.jsonl") + "{\"instruction\":\n");
  CHECK_THROWS_AS(run_stage(run_sample, given), file_error);
  CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl.partial"));
}

TEST_CASE("sample: without --resume an old partial file is begun anew") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl.partial", "{\"instruction\":\"old\",\"responses\":[]}\n");
  sampled(folder, "a.jsonl");
  CHECK(read_records<sample_record>(folder / "a.jsonl").size() == prompt_count);
}

TEST_CASE("sample: a finished file of an earlier run is not what a resumed one was to write") {
  const temporary_directory folder;
  sampled(folder, "a.jsonl", {"seed=6"});
  const auto whole = sampled(folder, "b.jsonl");
  write_bytes(folder / "a.jsonl.partial", whole.substr(0, whole.find('\n') + 1));
  write_bytes(folder / "a.jsonl.toml", read_bytes(folder / "b.jsonl.toml"));
  CHECK(sampled(folder, "a.jsonl", {}, true) == whole);
  const auto prompts = (folder / "prompts.jsonl").string();
  CHECK_THROWS_AS(sampled(folder, "c.jsonl", {"out=" + prompts}), config_error);
}

TEST_CASE("sample: --resume with other options than those of the file is refused") {
  const temporary_directory folder;
  const auto whole = sampled(folder, "a.jsonl");
  const auto hot = [&] { sampled(folder, "a.jsonl", {"generation.temperature=2"}, true); };
  CHECK_THROWS_WITH(hot(), ContainsSubstring("generation.temperature = 2, but the run was started with 1"));
  std::filesystem::rename(folder / "a.jsonl", folder / "a.jsonl.partial");
  CHECK_THROWS_AS(hot(), config_error);
  CHECK(sampled(folder, "a.jsonl", {"threads=2"}, true) == whole);
}

TEST_CASE("sample: at temperature 0 all responses to a prompt are the same") {
  const temporary_directory folder;
  sampled(folder, "a.jsonl", {"generation.temperature=0"});
  for (const auto& sample : read_records<sample_record>(folder / "a.jsonl")) {
    CHECK(sample.responses[0] == sample.responses[1]);
    CHECK(sample.responses[0] == sample.responses[2]);
  }
}

TEST_CASE("sample: counts of nothing are refused before anything is written") {
  const temporary_directory folder;
  CHECK_THROWS_AS(sampled(folder, "a.jsonl", {"sample.responses=0"}), config_error);
  CHECK_THROWS_AS(sampled(folder, "a.jsonl", {"sample.batch=0"}), config_error);
  CHECK_THROWS_AS(sampled(folder, "a.jsonl", {"generation.top_p=0"}), config_error);
  CHECK_THROWS_AS(sampled(folder, "a.jsonl", {"sample.response=2"}), config_error);
  CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl"));
  CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl.partial"));
}

TEST_CASE("sample: prompts are asked whole, unless sample.max_prompt_tokens says otherwise") {
  const temporary_directory folder;
  const auto whole = sampled(folder, "a.jsonl");
  CHECK(sampled(folder, "b.jsonl", {"prompt.max_tokens=6"}) == whole);
  CHECK(sampled(folder, "c.jsonl", {"sample.max_prompt_tokens=6"}) != whole);
}
