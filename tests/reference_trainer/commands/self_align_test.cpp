#include <array>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "datasets/self_align_filter.hpp"
#include "files/json_file.hpp"
#include "records/records.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::size_t asked_prompts = 22;
constexpr std::array animals{"fox", "owl", "bee", "cat", "dog", "ant", "hen", "pig", "bat", "cow", "elk"};

// The demo's model says things such as "the owl lives in caves.": the first s ends its thoughts.
settings aligning(const temporary_directory& folder, const std::string& out) {
  std::string lines;
  for (std::size_t i = 0; i < asked_prompts; ++i)
    lines += std::string(R"({"instruction":")") + (i < animals.size() ? "where is the " : "why is the ") +
             animals[i % animals.size()] + (i < animals.size() ? "?\"}\n" : " red?\"}\n");
  write_bytes(folder / "prompts.jsonl", lines);
  write_bytes(folder / "rules.json", R"([{"dimension":"kind","definition":"be kind."}])");
  write_bytes(folder / "exemplars.json", R"([
    {"question":"where is the wolf?","thoughts":"the wolf live","answer":"in towns."},
    {"question":"what is the eel?","thoughts":"the eel i","answer":"black."}])");
  write_bytes(folder / "form.txt", "{Rules}\n\n{Exemplars}\n\nuser: {Input}\ncoho: {Thoughts}s {Answer}\n");
  return {"model.path=" + demo_base().string(),
          "self_align.prompts=" + (folder / "prompts.jsonl").string(),
          "self_align.rules=" + (folder / "rules.json").string(),
          "self_align.exemplars=" + (folder / "exemplars.json").string(),
          "self_align.template=" + (folder / "form.txt").string(),
          "self_align.rejected=" + (folder / (out + ".rejected.jsonl")).string(),
          "self_align.minimum_characters=7",
          "self_align.filters.heading=false",
          "self_align.max_new_tokens=40",
          "self_align.batch=4",
          "out=" + (folder / (out + ".jsonl")).string(),
          "seed=7"};
}

settings all_filters_off() {
  settings out{"self_align.unfinished=keep"};
  for (const auto name : self_align_faults)
    if (name != "unfinished") out.push_back("self_align.filters." + std::string(name) + "=false");
  return out;
}

struct files {
  std::string kept, rejected, report;
  friend bool operator==(const files&, const files&) = default;
};

files aligned(const temporary_directory& folder, const std::string& out, const settings& more = {},
              bool resume = false) {
  run_stage(run_self_align, aligning(folder, out) + more, resume);
  CHECK_FALSE(std::filesystem::exists(folder / (out + ".jsonl.progress")));
  CHECK_FALSE(std::filesystem::exists(folder / (out + ".jsonl.partial")));
  return {read_bytes(folder / (out + ".jsonl")), read_bytes(folder / (out + ".rejected.jsonl")),
          read_bytes(folder / (out + ".filters.json"))};
}

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out.push_back(json::parse(line));
  return out;
}

}  // namespace

TEST_CASE("self-align: every prompt is kept or removed, and the report tells which filter removed how many") {
  const temporary_directory folder;
  const auto out = aligned(folder, "a");
  const auto kept = lines_of(out.kept), rejected = lines_of(out.rejected);
  const auto report = json::parse(out.report);
  CHECK(kept.size() >= 3);
  CHECK(rejected.size() >= 3);
  CHECK(kept.size() + rejected.size() == asked_prompts);
  CHECK(report["prompts"] == asked_prompts);
  CHECK(report["kept"] == kept.size());
  CHECK(report["prefix_tokens"] > 20);
  CHECK(report["generated_tokens"] > asked_prompts);
  std::map<std::string, std::size_t> reasons;
  for (const auto& line : rejected) ++reasons[line["reason"].get<std::string>()];
  CHECK(report["removed"].size() == self_align_faults.size() + 1);
  for (const auto& [reason, count] : report["removed"].items()) CHECK(count == reasons[reason]);
  CHECK(reasons["opening"] > 0);
  CHECK(reasons["length"] > 0);

  std::multiset<std::string> asked;
  for (const auto& line : kept) {
    CAPTURE(line.dump());
    CHECK(line["output"].get<std::string>().size() >= 7);
    CHECK(line["thoughts"].get<std::string>().starts_with("the "));
    CHECK(line["output"].get<std::string>().find("user:") == std::string::npos);
    asked.insert(line["instruction"].get<std::string>());
  }
  for (const auto& line : rejected) asked.insert(line["instruction"].get<std::string>());
  std::multiset<std::string> given;
  for (const auto& prompt : read_records<prompt_record>(folder / "prompts.jsonl")) given.insert(prompt.instruction);
  CHECK(asked == given);
}

TEST_CASE("self-align: the files depend on the seed, not on threads, batch or slots") {
  const temporary_directory folder;
  const auto whole = aligned(folder, "a");
  CHECK(aligned(folder, "threads", {"threads=2"}) == whole);
  CHECK(aligned(folder, "batch", {"self_align.batch=64"}) == whole);
  CHECK(aligned(folder, "slots", {"self_align.slots=3"}) == whole);
  CHECK(aligned(folder, "seed", {"seed=6"}) != whole);
}

TEST_CASE("self-align: an interrupted run that is resumed ends with the files of one that was not") {
  const temporary_directory folder;
  const auto whole = aligned(folder, "a");
  {
    const struct all_clear {
      ~all_clear() { set_interrupted(false); }
    } afterwards;
    std::jthread user([&](const std::stop_token& over) {
      while (!over.stop_requested() && !std::filesystem::exists(folder / "b.jsonl.progress"))
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      set_interrupted(true);
    });
    REQUIRE_THROWS_AS(run_stage(run_self_align, aligning(folder, "b")), interrupted_error);
  }
  REQUIRE(std::filesystem::exists(folder / "b.jsonl.progress"));
  const auto read = read_json(folder / "b.jsonl.progress").at("prompts").get<std::size_t>();
  CHECK(read % 4 == 0);
  CHECK(read < asked_prompts);
  CHECK_FALSE(std::filesystem::exists(folder / "b.jsonl"));
  const auto cut = [&](const std::string& name, const std::string& text, std::size_t extra_lines, std::size_t bytes) {
    const auto path = folder / (name + ".partial");
    const auto written = read_bytes(path);
    REQUIRE(text.starts_with(written));
    std::size_t end = written.size();
    for (std::size_t i = 0; i < extra_lines; ++i) end = text.find('\n', end) + 1;
    write_bytes(path, text.substr(0, end + bytes));
  };
  SECTION("between two batches") {}
  SECTION("killed within a batch: records are there that the progress does not count, the last one torn") {
    cut("b.jsonl", whole.kept, 1, 10);
    cut("b.rejected.jsonl", whole.rejected, 1, 5);
  }
  SECTION("killed when only removed records had been written") { cut("b.rejected.jsonl", whole.rejected, 1, 0); }
  CHECK(aligned(folder, "b", {}, true) == whole);
  // Resumed once more: nothing to do.
  CHECK(aligned(folder, "b", {}, true) == whole);
}

TEST_CASE("self-align: what an earlier run left is no part of a later one") {
  const temporary_directory folder;
  aligned(folder, "a");
  const auto other = aligned(folder, "other", {"seed=8"});
  SECTION("its output was taken away") { std::filesystem::remove(folder / "a.jsonl"); }
  SECTION("the later one was killed before its first record") {
    write_bytes(folder / "a.jsonl.partial", "");
    std::string recipe = read_bytes(folder / "other.jsonl.toml");
    for (std::size_t at = 0; (at = recipe.find("other.", at)) != std::string::npos;) recipe.replace(at, 6, "a.");
    write_bytes(folder / "a.jsonl.toml", recipe);
  }
  CHECK(aligned(folder, "a", {"seed=8"}, true) == other);
}

TEST_CASE("self-align: progress that counts more records than there are is refused") {
  const temporary_directory folder;
  const auto given = aligning(folder, "a");
  write_bytes(
      folder / "a.jsonl.progress",
      R"({"prompts":4,"kept":3,"removed":{"answer":1},"rules":{},"generated_tokens":9,"kept_unfinished":0,"kept_truncated":0})");
  CHECK_THROWS_WITH(run_stage(run_self_align, given, true), ContainsSubstring("counts more records"));
  write_bytes(folder / "a.jsonl.progress", "{}");
  CHECK_THROWS_WITH(run_stage(run_self_align, given, true), ContainsSubstring("is not the progress"));
  CHECK_FALSE(aligned(folder, "a").kept.empty());  // begun anew
}

TEST_CASE("self-align: filters that are off remove nothing") {
  const temporary_directory folder;
  const settings off = all_filters_off();
  const auto out = aligned(folder, "a", off);
  const auto report = json::parse(out.report);
  CHECK(report["kept"] == asked_prompts);
  CHECK(report["filters_off"].size() == self_align_faults.size());
  CHECK(aligned(folder, "b", {"self_align.filters.length=false"}).kept.size() > aligned(folder, "c").kept.size());
}

TEST_CASE("self-align: answers cut by the limit are kept, trimmed or dropped, and marked as unfinished") {
  const temporary_directory folder;
  const auto run = [&](const std::string& name, const std::string& what) {
    const auto out = aligned(
        folder, name, all_filters_off() + settings{"self_align.max_new_tokens=9", "self_align.unfinished=" + what});
    return std::pair(lines_of(out.kept), json::parse(out.report));
  };
  const auto [kept, kept_report] = run("keep", "keep");
  const auto [trimmed, trimmed_report] = run("trim", "trim");
  const auto [dropped, dropped_report] = run("drop", "drop");
  REQUIRE(kept.size() == asked_prompts);
  std::map<std::string, std::string> whole;
  std::size_t cut = 0;
  for (const auto& line : kept) {
    whole[line["instruction"]] = line["output"];
    cut += line.contains("finished");
    if (line.contains("finished")) CHECK(line["finished"] == false);
  }
  REQUIRE(cut > 3);
  REQUIRE(cut < asked_prompts);
  CHECK(kept_report["kept_unfinished"] == cut);
  CHECK(dropped.size() == asked_prompts - cut);
  CHECK(dropped_report["removed"]["unfinished"] == cut);
  CHECK(dropped_report["kept_unfinished"] == 0);
  for (const auto& line : dropped) CHECK_FALSE(line.contains("finished"));
  CHECK(trimmed.size() + trimmed_report["removed"]["unfinished"].get<std::size_t>() == asked_prompts);
  for (const auto& line : trimmed) {
    const std::string text = line["output"], all = whole.at(line["instruction"]);
    if (line.contains("finished")) {
      CHECK(text.size() < all.size());
      CHECK(all.starts_with(text));
      CHECK(text.find_last_of(" ") != text.size() - 1);
    } else {
      CHECK(text == all);
    }
  }
}

TEST_CASE("self-align: top-p is the stage's own") {
  const temporary_directory folder;
  const auto whole = aligned(folder, "a", all_filters_off());
  CHECK(aligned(folder, "b", all_filters_off() + settings{"self_align.top_p=1.0"}) == whole);
  const auto narrow = aligned(folder, "c", all_filters_off() + settings{"self_align.top_p=0.001"});
  CHECK(narrow.kept != whole.kept);
  CHECK(aligned(folder, "d", all_filters_off() + settings{"generation.temperature=0.0"}).kept == narrow.kept);
}

TEST_CASE("self-align: a question too long for the room it has is removed, and no other") {
  const temporary_directory folder;
  auto given = aligning(folder, "a");
  write_bytes(folder / "prompts.jsonl",
              "{\"instruction\":\"where is the owl?\"}\n"
              "{\"instruction\":\"where is the owl and the fox and the bee and the cat?\"}\n");
  run_stage(run_self_align, given + settings{"self_align.max_question_tokens=14"});
  const auto report = read_json(folder / "a.filters.json");
  CHECK(report["prompts"] == 2);
  CHECK(report["removed"]["question_too_long"] == 1);
  bool found = false;
  for (const auto& line : lines_of(read_bytes(folder / "a.rejected.jsonl")))
    found = found || (line["reason"] == "question_too_long" && line["detail"] == "more than 14 tokens");
  CHECK(found);
}

TEST_CASE("self-align: a question that the tokenizer joins with the words in front of it is answered too") {
  const temporary_directory folder;
  auto given = aligning(folder, "a");
  given = given + all_filters_off();
  write_bytes(folder / "form.txt", "{Rules}\n\n{Exemplars}\n\nuser: the f{Input}\ncoho: {Thoughts}s {Answer}\n");
  write_bytes(folder / "prompts.jsonl", "{\"instruction\":\"ox is red?\"}\n{\"instruction\":\"ur is red?\"}\n");
  run_stage(run_self_align, given);
  const auto kept = lines_of(read_bytes(folder / "a.jsonl"));
  REQUIRE(kept.size() == 2);
  CHECK(kept[0]["instruction"] == "ox is red?");
  CHECK(kept[1]["instruction"] == "ur is red?");
}

TEST_CASE("self-align: what is kept trains the policy in the dromedary form") {
  const temporary_directory folder;
  aligned(folder, "pairs");
  const auto pairs = read_records<sft_record>(folder / "pairs.jsonl");
  run_stage(run_sft, {"model.path=" + demo_base().string(), "sft.data=" + (folder / "pairs.jsonl").string(),
                      "prompt.format=dromedary", "prompt.system=be kind.", "adapter.kind=full",
                      "sft.learning_rate.peak=3e-3", "sft.epochs=30", "out=" + (folder / "sft").string()});
  const auto loss = metric_curve(folder / "sft", "loss");
  REQUIRE(loss.size() == 30);  // all pairs in one batch
  CHECK(loss.back().second < 0.5 * loss.front().second);
}

TEST_CASE("self-align: a dry run says what the prefix takes, without the data") {
  const temporary_directory folder;
  const auto given = aligning(folder, "a");
  std::filesystem::remove(folder / "prompts.jsonl");
  const auto dry_run = [](const settings& all) {
    const config options(all);
    stage_context context("self-align", options, false, true, true);
    std::ostringstream out;
    auto* const old = std::cout.rdbuf(out.rdbuf());
    try {
      run_self_align(options, context);
    } catch (...) {
      std::cout.rdbuf(old);
      throw;
    }
    std::cout.rdbuf(old);
    return out.str();
  };
  const auto text = dry_run(given);
  CHECK_THAT(text, ContainsSubstring("thoughts_opening = \"the\"") || ContainsSubstring("thoughts_opening = 'the'"));
  CHECK_THAT(text, ContainsSubstring("(2 exemplars)") && ContainsSubstring("Of 512 positions"));
  CHECK_FALSE(std::filesystem::exists(folder / "a.jsonl"));
  std::filesystem::remove(folder / "form.txt");
  CHECK_THAT(dry_run(given), ContainsSubstring("template are missing"));
}

TEST_CASE("self-align: what cannot be run is refused before a file is written") {
  const temporary_directory folder;
  const auto given = aligning(folder, "a");
  const auto refusal = [&](const settings& more) -> std::string {
    try {
      run_stage(run_self_align, given + more);
    } catch (const error& problem) {
      return problem.what();
    }
    return {};
  };
  const auto file = [&](const std::string& name, const std::string& content) {
    write_bytes(folder / name, content);
    return (folder / name).string();
  };
  CHECK_THAT(refusal({"self_align.template=" + file("t.txt", "{Rules}{Exemplars}T:{Thoughts}A:{Answer}")}),
             ContainsSubstring("t.txt: placeholder {Input}: missing"));
  CHECK_THAT(refusal({"self_align.exemplars=" + file("e.json", R"([{"question":"q","answer":"a"}])")}),
             ContainsSubstring("e.json: entry 1: has no \"thoughts\""));
  CHECK_THAT(refusal({"self_align.rules=" + file("r.json", R"({"dimension":"kind"})")}),
             ContainsSubstring("r.json: is not a JSON array of principles"));
  CHECK_THAT(refusal({"self_align.rules=none"}), ContainsSubstring("none"));
  // The shipped exemplars need a real model's context.
  const auto shipped_ones = source_dir() / "reference_trainer/prompts/self_align_exemplars.json";
  CHECK_THAT(refusal({"self_align.exemplars=" + shipped_ones.string()}),
             ContainsSubstring("the rules and exemplars take") && ContainsSubstring("of the model's 512 positions"));
  CHECK_THAT(refusal({"self_align.max_new_tokens=500"}),
             ContainsSubstring("self_align.max_new_tokens") && ContainsSubstring("512 positions"));
  CHECK_THAT(refusal({"self_align.batch=0"}), ContainsSubstring("self_align.batch"));
  CHECK_THAT(refusal({"self_align.slots=0"}), ContainsSubstring("self_align.slots"));
  CHECK_THAT(refusal({"self_align.stop=['']"}), ContainsSubstring("self_align.stop"));
  CHECK_THAT(refusal({"self_align.top_p=0"}), ContainsSubstring("self_align.top_p"));
  CHECK_THAT(refusal({"self_align.unfinished=cut"}), ContainsSubstring("self_align.unfinished"));
  CHECK_THAT(refusal({"self_align.filters.unfinished=false"}), ContainsSubstring("self_align.unfinished = \"keep\""));
  CHECK_THAT(refusal({"self_align.exemplar=x"}), ContainsSubstring("did you mean"));
  CHECK_THAT(refusal({"self_align.filters.leaks=false"}), ContainsSubstring("did you mean"));
  CHECK_THAT(refusal({"self_align.rejected=" + (folder / "a.jsonl").string()}), ContainsSubstring("another file"));
  CHECK_THAT(refusal({"self_align.prompts=" + file("bad.jsonl", "{\"instruction\":\"a\"}\n{\"x\":1}\n")}),
             ContainsSubstring("bad.jsonl: line 2"));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    CHECK(entry.path().filename().string().find("a.") != 0);
}
