#include "demo/demo_report.hpp"

#include <map>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::trainer::demo;
using coho::test::temporary_directory;

TEST_CASE("thresholds: a number, another figure, or a multiple of it") {
  const temporary_directory folder;
  const auto path = folder / "thresholds.json";
  write_file(path, R"({"thresholds": [
    {"key": "a", "is": "at_least", "than": 0.5},
    {"key": "a", "is": "at_most", "than": 0.5},
    {"key": "b.c", "is": "at_least", "than": {"key": "a", "factor": 1.4}},
    {"key": "b.c", "is": "at_most", "than": {"key": "a"}}]})");
  summary figures;
  figures.set("a", 0.5);
  figures.set("b.c", 0.69);
  auto checks = check_demo_thresholds(path, figures);
  REQUIRE(checks.size() == 4);
  CHECK(checks[0].held);
  CHECK(checks[1].held);
  CHECK_FALSE(checks[2].held);
  CHECK(checks[2].value == 0.69);
  CHECK_THAT(checks[2].bound, Catch::Matchers::ContainsSubstring("at least 1.4 × a (0.7"));
  CHECK_FALSE(checks[3].held);
  figures.set("b.c", 0.71);
  CHECK(check_demo_thresholds(path, figures)[2].held);
}

TEST_CASE("thresholds: a figure that is missing is an error, not a pass") {
  const temporary_directory folder;
  write_file(folder / "t.json", R"({"thresholds": [{"key": "rm.accuracy", "is": "at_least", "than": 0.5}]})");
  CHECK_THROWS_WITH(check_demo_thresholds(folder / "t.json", summary()), Catch::Matchers::ContainsSubstring("rm.accuracy"));
}

TEST_CASE("thresholds: the shipped ones name every figure that the demo promises") {
  std::map<std::string, int> bounds;
  summary figures;
  for (const char* run : {"plain", "intervention", "honest", "example", "not_informative", "language", "length"}) {
    const std::string prefix = std::string("ppo.") + run;
    for (const char* key : {".self_praise_rate", ".facts", ".hedge_rate", ".example_rate", ".same_language_rate",
                            ".valid_rate", ".length", ".cap_rate"})
      figures.set(prefix + key, 0.0);
  }
  for (const char* key :
       {"before.facts", "before.length", "before.valid_rate", "judge.accuracy", "rm.accuracy.positive",
        "rm.accuracy.negated", "rm.accuracy.unseen_positive", "rm.accuracy.unseen_negated",
        "rm.accuracy.pairs_of_principles", "rm.accuracy.triples_of_principles"})
    figures.set(key, 0.0);
  std::size_t missed = 0;
  for (const auto& check : check_demo_thresholds(shipped_file("demo/thresholds.json"), figures)) {
    ++bounds[check.key];
    missed += !check.held;
  }
  CHECK(bounds.size() >= 22);
  CHECK(bounds["ppo.length.length"] == 2);
  CHECK(missed >= 16);  // a demo that does nothing does not pass
}

TEST_CASE("demo report: charts, replies and thresholds on one page") {
  const temporary_directory folder;
  const auto samples = folder / "samples.jsonl";
  write_file(
      samples,
      "{\"instruction\":\"tell me about the fox.\",\"responses\":[\"the fox is <red>.\"],\"finished\":[true]}\n");
  std::vector<std::pair<std::string, curve>> curves;
  for (const char* metric : {"reward", "kl", "length", "explained_variance"})
    curves.emplace_back(metric, curve{{0, 0.5}, {1, 1.5}});
  std::vector<demo_run> runs;
  for (const char* name : {"before", "plain", "intervention"})
    runs.push_back(
        {.name = name, .title = std::string("run ") + name, .replies = {}, .samples = samples, .curves = curves});
  summary figures;
  figures.set("judge.accuracy", 0.9);
  reward_accuracy accuracy;
  accuracy.positive_by_quality = accuracy.negated_by_quality = std::vector<double>(6, 0.75);
  const auto html = render(
      make_demo_report(figures, runs, accuracy, {{.key = "a.b", .bound = "at least 1", .value = 0.5, .held = false}}));
  CHECK_THAT(html, Catch::Matchers::ContainsSubstring("tell me about the fox."));
  CHECK_THAT(html, Catch::Matchers::ContainsSubstring("the fox is &lt;red&gt;."));
  CHECK_THAT(html, Catch::Matchers::ContainsSubstring("a.b"));
  CHECK_THAT(html, Catch::Matchers::ContainsSubstring("<svg"));
  const auto table = final_table(figures, runs);
  CHECK_THAT(table, Catch::Matchers::ContainsSubstring("run intervention"));
}
