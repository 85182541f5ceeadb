#include "report/run_report.hpp"

#include <algorithm>
#include <cmath>

#include <coho/error.hpp>

#include "commands/commands.hpp"
#include "files/read_file.hpp"
#include "report/run_charts.hpp"
#include "support/catch.hpp"
#include "support/markup.hpp"
#include "support/run_files.hpp"
#include "support/stage_runs.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

run_folder named(const std::filesystem::path& path, const std::string& name) {
  auto run = read_run(path);
  run.name = name;
  return run;
}

/// The charts of a page by their titles.
template <class Chart>
std::vector<const Chart*> charts_of(const report& page) {
  std::vector<const Chart*> out;
  for (const auto& section : page.sections)
    for (const auto& part : section.parts)
      if (const auto* chart = std::get_if<Chart>(&part)) out.push_back(chart);
  return out;
}

template <class Chart>
const Chart* find_chart(const report& page, const std::string& title) {
  for (const auto* chart : charts_of<Chart>(page))
    if (chart->title == title) return chart;
  return nullptr;
}

std::string page_of(const std::vector<run_folder>& runs, const run_report_options& options = {}) {
  const auto page = render(make_run_report(runs, options));
  CHECK(markup_error(page) == "");
  return page;
}

}  // namespace

TEST_CASE("a run's page draws every metric once, what belongs together in one chart") {
  const temporary_directory folder;
  write_ppo_run(folder / "a", 40, 1);
  const auto page = make_run_report({named(folder / "a", "a")});
  const auto* reward = find_chart<line_chart>(page, "Reward");
  REQUIRE(reward != nullptr);
  REQUIRE(reward->lines.size() == 1);
  CHECK(reward->lines[0].points.size() == 40);
  CHECK(reward->lines[0].raw.size() == 40);
  CHECK(reward->lines[0].points[1] != reward->lines[0].raw[1]);
  for (const char* title :
       {"KL from the reference", "Length", "Entropy", "Clip fraction", "Value model", "Learning rate"})
    CHECK(find_chart<line_chart>(page, title) != nullptr);
  // The learning rate and evaluations are drawn as they are.
  CHECK(find_chart<line_chart>(page, "Learning rate")->lines[0].raw.empty());
  CHECK(find_chart<line_chart>(page, "Reward, evaluation")->lines[0].raw.empty());
  const auto* times = find_chart<line_chart>(page, "Time of a step by phase");
  REQUIRE(times != nullptr);
  CHECK(times->lines.size() == 3);
  CHECK(find_chart<line_chart>(page, "Time of a step") == nullptr);
  CHECK(find_chart<line_chart>(page, "Parts of the reward")->lines.size() == 2);
  CHECK(find_chart<line_chart>(page, "Scores by principle")->lines.size() == 2);
  CHECK(find_chart<bar_chart>(page, "Principles at the last evaluation")->categories ==
        std::vector<std::string>{"honest", "Ethical <b>"});
  CHECK_THAT(page_of({named(folder / "a", "a")}), ContainsSubstring("Ethical &lt;b&gt;"));
}

TEST_CASE("runs of a stage are overlaid, those of other stages have sections of their own") {
  const temporary_directory folder;
  write_ppo_run(folder / "a", 30, 1);
  write_ppo_run(folder / "b", 25, 2, "0.1");
  std::filesystem::create_directory(folder / "rm");
  write_bytes(folder / "rm" / "metrics.jsonl",
              "{\"step\":0,\"loss\":0.7,\"accuracy\":0.5,\"margin\":0.1,\"own\":3}\n"
              "{\"step\":1,\"loss\":0.6,\"accuracy\":0.6,\"margin\":0.2,\"own\":4}\n");
  write_bytes(folder / "rm" / "evaluation.json", R"({"accuracy":0.625})");
  const std::vector<run_folder> runs{named(folder / "a", "one"), named(folder / "b", "two"),
                                     named(folder / "rm", "rm")};
  const auto page = make_run_report(runs);
  const auto* reward = find_chart<line_chart>(page, "Reward");
  REQUIRE(reward->lines.size() == 2);
  CHECK(reward->lines[0].name == "one");
  CHECK(reward->lines[1].name == "two");
  CHECK(reward->lines[1].points.size() == 25);
  CHECK(find_chart<line_chart>(page, "Accuracy")->lines.size() == 1);
  CHECK(find_chart<line_chart>(page, "own") != nullptr);  // a metric that nobody knows is drawn all the same
  CHECK(find_chart<line_chart>(page, "Principle: honest")->lines.size() == 2);
  std::vector<std::string> headings;
  for (const auto& section : page.sections) headings.push_back(section.heading);
  for (const char* heading : {"Runs", "PPO", "PPO: Learning", "PPO: Responses", "Reward model: Learning"})
    CHECK(std::ranges::find(headings, heading) != headings.end());
  const auto text = page_of(runs);
  CHECK_THAT(text,
             ContainsSubstring("evaluation.json: accuracy</th><td class=\"number\"></td><td class=\"number\">0.625"));
}

TEST_CASE("final figures are the means of the last tenth") {
  const temporary_directory folder;
  std::string metrics;
  for (int i = 0; i < 20; ++i)
    metrics += "{\"step\":" + std::to_string(i) + ",\"loss\":" + std::to_string(i < 18 ? 9 : i) + "}\n";
  write_bytes(folder / "metrics.jsonl", metrics);
  const auto run = named(folder.path(), "r"), other = named(folder.path(), "s");
  CHECK(final_figures({&run})[0].rows[0] == std::vector<std::string>{"Loss", "9", "18.5", "9", "19"});
  CHECK(final_figures({&run, &other})[0].rows[0] == std::vector<std::string>{"Loss", "18.5", "18.5"});
  CHECK(final_figures({&run}).size() == 1);
}

TEST_CASE("settings are compared between the runs of a stage") {
  const temporary_directory folder;
  write_ppo_run(folder / "a", 1, 0, "0.02");
  write_ppo_run(folder / "b", 1, 0, "0.1\nlanguage_bonus = 2.0");
  const auto a = named(folder / "a", "a"), b = named(folder / "b", "b");
  CHECK(differing_settings({&a, &b}).rows ==
        std::vector<std::vector<std::string>>{{"ppo.kl_coefficient", "0.02", "0.1"}, {"ppo.language_bonus", "–", "2"}});
  CHECK(shared_settings({&a, &b}).rows ==
        std::vector<std::vector<std::string>>{{"ppo.gamma", "1"}, {"ppo.steps", "100"}, {"seed", "7"}});
  CHECK(shared_settings({&a}).rows.size() == 4);
  CHECK(differing_settings({&a}).rows.empty());
}

TEST_CASE("responses before and after stand side by side, types in turn") {
  const temporary_directory folder;
  write_ppo_run(folder / "a", 5, 0);
  write_ppo_run(folder / "b", 5, 0, "0.1", "another fox");
  const auto a = named(folder / "a", "a"), b = named(folder / "b", "b");
  const auto one = sample_table({&a}, 3);
  CHECK(one.columns == std::vector<std::string>{"step 0", "step 5"});
  REQUIRE(one.rows.size() == 3);
  CHECK(one.rows[0].prompt == "general 0");
  CHECK(one.rows[1].prompt == "reasoning 0");
  CHECK(one.rows[2].prompt == "general 1");
  CHECK(one.rows[2].captions[1] == "score 1.25 · unfinished");
  CHECK_THAT(render(one), ContainsSubstring("a fox with a <ins>new</ins> tail"));
  CHECK_THAT(one.note, ContainsSubstring("3 of 4 prompts"));

  const auto both = sample_table({&a, &b}, 2);
  CHECK(both.columns == std::vector<std::string>{"step 0", "a, step 5", "b, step 5"});
  CHECK(both.rows[0].responses ==
        std::vector<std::string>{"a fox with a tail", "a fox with a new tail", "another fox"});
  auto other = b;
  other.first->samples[0].response = "it began otherwise";
  const auto apart = sample_table({&a, &other}, 2);
  CHECK(apart.columns == std::vector<std::string>{"a, step 0", "a, step 5", "b, step 0", "b, step 5"});
  CHECK(apart.compared_with == std::vector<std::size_t>{0, 0, 2, 2});
}

TEST_CASE("whatever the files hold, the page runs no script and fetches nothing") {
  const temporary_directory folder;
  const std::string hostile = "</title></td><script>alert(1)</script><img src=http://x.y/z onerror=alert(2)>";
  write_ppo_run(folder / "a", 3, 0, "'" + hostile + "'", hostile);
  write_bytes(folder / "a" / "evaluation.json", "{\"" + hostile + "\":1}");
  std::string metrics = read_file(folder / "a" / "metrics.jsonl");
  write_bytes(folder / "a" / "metrics.jsonl", metrics + "{\"step\":3,\"" + hostile + "\":1,\"eval/principle/" +
                                                  hostile + "\":2}\n" + "{\"step\":4,\"" + hostile + "\":2}\n");
  write_ppo_run(folder / "b", 3, 0);
  const auto page = page_of({named(folder / "a", hostile), named(folder / "b", "b")}, {.title = hostile});
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("<img") == std::string::npos);
  CHECK_THAT(page, ContainsSubstring("&lt;script&gt;"));
}

TEST_CASE("a page about long runs is of bounded size") {
  const temporary_directory folder;
  std::string metrics;
  for (int i = 0; i < 100'000; ++i)
    metrics += "{\"step\":" + std::to_string(i) + ",\"loss\":" + std::to_string(std::sin(i)) +
               ",\"accuracy\":" + std::to_string(std::cos(i)) + "}\n";
  write_bytes(folder / "metrics.jsonl", metrics);
  CHECK(page_of({named(folder.path(), "long")}).size() < 150'000);
}

TEST_CASE("coho report writes a page beside its run, or where it is told") {
  const temporary_directory folder;
  write_ppo_run(folder / "x" / "a", 25, 0);
  write_ppo_run(folder / "x" / "b", 25, 1);
  const auto path = [&](const char* name) { return (folder / name).string(); };
  run_stage(run_report, {"report.runs=" + path("x/a")});
  const auto alone = read_file(folder / "x/a/report.html");
  CHECK_THAT(alone, ContainsSubstring("<title>a</title>"));
  CHECK_THAT(alone, ContainsSubstring("stroke raw"));
  run_stage(run_report, {"report.runs=" + path("x"), "out=" + path("two.html"), "report.names=left,right",
                         "report.title=T", "report.smooth=0", "report.samples=1"});
  const auto two = read_file(folder / "two.html");
  CHECK_THAT(two, ContainsSubstring("<title>T</title>"));
  CHECK_THAT(two, ContainsSubstring("right"));
  CHECK(two.find("stroke raw") == std::string::npos);
  CHECK(markup_error(two) == "");
  run_stage(run_report, {"report.runs=" + path("x"), "out=" + path("x")});
  run_stage(run_report, {"report.runs=" + path("x"), "out=" + path("new/page.html")});
  CHECK(read_file(folder / "x/report.html") == read_file(folder / "new/page.html"));
  run_stage(run_report, {"report.runs=" + path("x"), "out=" + path("new/page.html")});  // a report may be replaced
  const auto metrics = read_file(folder / "x/a/metrics.jsonl");
  CHECK_THROWS_WITH(run_stage(run_report, {"report.runs=" + path("x"), "out=" + path("x/a/metrics.jsonl")}),
                    ContainsSubstring("is a file that is not a report"));
  CHECK(read_file(folder / "x/a/metrics.jsonl") == metrics);
  CHECK_THROWS_WITH(run_stage(run_report, {"report.runs=" + path("x"), "report.names=one"}),
                    ContainsSubstring("one name for each of the 2 runs"));
  CHECK_THROWS_AS(run_stage(run_report, {"report.runs=" + path("x"), "report.smooth=1"}), config_error);
  CHECK_THROWS_AS(run_stage(run_report, {}), config_error);
  CHECK_THROWS_WITH(run_stage(run_report, {"report.runs=" + path("x"), "report.smoth=0.5"}),
                    ContainsSubstring("did you mean report.smooth"));
}
