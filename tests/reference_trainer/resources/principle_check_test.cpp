#include "resources/principle_check.hpp"

#include <set>

#include <coho/error.hpp>

#include "resources/principle_file.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

principle_report check_text(std::string_view text, const principle_check_options& options = {}) {
  const temporary_directory folder;
  write_bytes(folder / "mine.json", text);
  return check_principle_file(folder / "mine.json", options);
}

// One line a finding.
std::string said(const principle_report& report) {
  std::string out;
  for (const auto& finding : report.findings)
    out += (finding.wrong ? "wrong: " : "note: ") + finding.place + ": " + finding.text + "\n";
  return out;
}

}  // namespace

TEST_CASE("principle check: a sound collection has nothing said against it, and its lengths measured") {
  const auto report = check_text(
      R"([{"dimension": "Kind", "definition": "Be kind to all.", "negative_definition": "Hurt whom you can.", "weight": 3},
          {"dimension": "Brief", "definition": "Say it in few words.", "negative_definition": "Ramble on and on."}])",
      {.drawn_together = 1, .count_tokens = [](std::string_view text) { return text.size() / 2; }});
  CHECK(said(report).empty());
  CHECK(report.is_sound());
  REQUIRE(report.entries.size() == 2);
  CHECK(report.entries[0].drawn == Approx(0.75));
  CHECK(report.entries[0].words == 4);
  CHECK(report.entries[0].characters == 15);
  CHECK(report.entries[0].tokens == 7);
}

TEST_CASE("principle check: everything wrong is said at once") {
  const auto report = check_text(R"([
    {"dimension": "A", "definition": "The AI is kind to all who ask it for help or advice.", "negative_definition": "Be rude.", "wieght": 2},
    {"dimension": "A", "definition": "the AI is kind to all who ask it for help or advice", "negative_definition": "Be unkind always.", "weight": -1},
    {"dimension": "B", "definition": "The AI is kind to any who ask it for help or advice.", "weight": 0},
    {"dimension": "C", "negative_definition": "Never.", "definition": " "},
    {"dimension": "D", "definition": "Do it.", "negative_definition": "Do it!"},
    {"definition": 3}, 7])");
  const auto text = said(report);
  CHECK_FALSE(report.is_sound());
  for (const char* finding :
       {"wrong: entry 1 (\"A\"): has an unknown member \"wieght\"", "wrong: entry 2 (\"A\"): \"weight\" is -1",
        "wrong: entry 2 (\"A\"): \"definition\" does not end as a sentence: \"…",
        "wrong: entry 2 (\"A\"): has the name of entry 1",
        "wrong: entry 2 (\"A\"): \"definition\" is the same as that of entry 1 (\"A\")",
        "wrong: entry 3 (\"B\"): has no negative definition, but others have one",
        "wrong: entry 3 (\"B\"): \"definition\" is nearly the same as that of entry 1 (\"A\")",
        "note: entry 3 (\"B\"): has weight 0", "wrong: entry 4 (\"C\"): \"definition\" is empty",
        "wrong: entry 5 (\"D\"): \"negative_definition\" equals its \"definition\"",
        "wrong: entry 6: has no \"dimension\"", "wrong: entry 6: \"definition\" is not a text",
        "wrong: entry 7: is not a JSON object"})
    CHECK_THAT(text, ContainsSubstring(finding));
}

TEST_CASE("principle check: notes are no faults") {
  const auto report =
      check_text(R"([{"dimension": "A", "definition": "Be kind."}, {"dimension": "B", "definition": "Be brief."}])");
  CHECK(report.is_sound());
  CHECK_THAT(said(report), ContainsSubstring("note: : no entry has a negative definition"));
  CHECK_THAT(said(report), ContainsSubstring("only 2 entries can be drawn, fewer than 3"));
  CHECK_FALSE(check_text(R"([{"dimension": "A", "definition": "Be kind.", "weight": 0}])").is_sound());
  CHECK_THROWS_WITH(check_text("{}"), ContainsSubstring("not a JSON array"));
  CHECK_THROWS_WITH(check_text("[]"), ContainsSubstring("not a JSON array"));
  CHECK_THROWS_AS(check_text("[1]", {.drawn_together = 0}), option_error);
  CHECK_THROWS_AS(check_text("[1]", {.near_same = 0}), option_error);
}

TEST_CASE("the shipped collections are sound") {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "reference_trainer" / "principles")) {
    CAPTURE(entry.path());
    const auto report = check_principle_file(entry.path());
    INFO(said(report));
    CHECK(report.is_sound());
    names.insert(entry.path().stem().string());
  }
  for (const char* name : {"reward_model", "reinforcement", "interventions", "harmless", "honest", "non_evasive"})
    CHECK(names.contains(name));
}

TEST_CASE("collections that others published can be read and checked") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  std::size_t read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*data / "principles")) {
    if (entry.path().extension() != ".json") continue;
    CHECK(check_principle_file(entry.path()).entries.size() == load_principles(entry.path()).size());
    ++read;
  }
  CHECK(read == 5);
}
