#include "report/report.hpp"

#include <unistd.h>

#include "files/read_file.hpp"
#include "support/catch.hpp"
#include "support/markup.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

report example() {
  report page;
  page.title = "Demo <1>";
  page.subtitle = "seed 1";
  page.figures = {{"judge accuracy", "0.97"}};
  page.footer = "made by coho";
  line_chart reward{.title = "Reward",
                    .x_label = "step",
                    .y_label = "reward",
                    .lines = {{"plain", {{0, 0}, {1, 1}}}, {"asked", {{0, 0}, {1, 2}}}}};
  bar_chart accuracy{.title = "Accuracy", .categories = {"honest"}, .bars = {{"positive", {0.9}}}};
  report_table table{.title = "Runs", .columns = {"run", "reward"}, .rows = {{"plain", "1.5"}, {"other"}}};
  report_samples samples{.title = "Replies", .columns = {"before", "after"}, .rows = {{"why <b>?", {"a & b", "c"}}}};
  report_checks checks{.title = "Bounds",
                       .rows = {{"judge.accuracy", "0.97", "≥ 0.90", true}, {"facts", "1.3", "≤ 1.2", false}}};
  page.sections = {{"Learning", "First.\n\nSecond.", {reward, accuracy, table}},
                   {"Samples", "", {samples, checks}},
                   {"Empty", "", {}}};
  return page;
}

}  // namespace

TEST_CASE("a report is one well-formed page with everything in it") {
  const auto page = render(example());
  CHECK(page.starts_with("<!DOCTYPE html>\n"));
  CHECK(coho::test::markup_error(page) == "");
  CHECK_THAT(page, ContainsSubstring("<title>Demo &lt;1&gt;</title>"));
  CHECK_THAT(page, ContainsSubstring("<p>First.</p>\n<p>Second.</p>"));
  CHECK_THAT(page, ContainsSubstring("why &lt;b&gt;?"));
  CHECK_THAT(page, ContainsSubstring("a &amp; b"));
  CHECK_THAT(page, ContainsSubstring("<td class=\"held\">✓ held</td>"));
  CHECK_THAT(page, ContainsSubstring("<td class=\"missed\">✗ missed</td>"));
  CHECK_THAT(page, ContainsSubstring("prefers-color-scheme: dark"));
  CHECK_THAT(page, ContainsSubstring("<td class=\"number\">1.5</td>"));
}

TEST_CASE("a report fetches nothing") {
  auto page = render(example());
  const std::string name_space = "xmlns=\"http://www.w3.org/1999/xhtml\"";
  page.erase(page.find(name_space), name_space.size());
  for (const auto* outside : {"http:", "https:", "<script", "<link", "<img", "@import", "url("}) {
    INFO(outside);
    CHECK(page.find(outside) == std::string::npos);
  }
}

TEST_CASE("a report is written whole") {
  const auto path = std::filesystem::temp_directory_path() / ("coho_report_" + std::to_string(::getpid()) + ".html");
  write_report(path, example());
  CHECK(read_file(path) == render(example()));
  std::filesystem::remove(path);
}

TEST_CASE("the checker of markup finds what is wrong") {
  using coho::test::markup_error;
  CHECK(markup_error("<p a=\"1\">x &amp; y<br/></p>") == "");
  for (const auto* bad :
       {"<p>", "<p></b>", "<p a=1></p>", "a & b", "<p a=\"1\" a=\"2\"/>", "1 < 2", "<p a=\"<\"/>", "<p"}) {
    INFO(bad);
    CHECK(markup_error(bad) != "");
  }
}
