#include "report/chart.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/markup.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

const double nan_value = std::numeric_limits<double>::quiet_NaN();

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

// The values of an attribute in the order of the drawing.
std::vector<std::string> values_of(const std::string& svg, const std::string& attribute) {
  std::vector<std::string> out;
  const auto opening = " " + attribute + "=\"";
  for (auto at = svg.find(opening); at != std::string::npos; at = svg.find(opening, at + 1)) {
    const auto begin = at + opening.size();
    out.push_back(svg.substr(begin, svg.find('"', begin) - begin));
  }
  return out;
}

std::vector<double> numbers_of(const std::string& svg, const std::string& attribute) {
  std::vector<double> out;
  for (const auto& value : values_of(svg, attribute)) out.push_back(std::stod(value));
  return out;
}

}  // namespace

TEST_CASE("ticks are round numbers that cover the range") {
  CHECK(axis_ticks(0, 1) == std::vector<double>{0, 0.2, 2 * 0.2, 3 * 0.2, 4 * 0.2, 5 * 0.2});
  const auto ticks = axis_ticks(-0.3, 12.1);
  CHECK(ticks.front() <= -0.3);
  CHECK(ticks.back() >= 12.1);
  for (const double range : {1e-9, 0.37, 5.0, 1234.0, 9e12}) {
    const auto t = axis_ticks(-range, range);
    INFO(range);
    CHECK(t.size() >= 3);
    CHECK(t.size() <= 12);
  }
}

TEST_CASE("a line chart draws each series, leaves gaps, and is well-formed") {
  line_chart chart{.title = "Reward & <KL>", .note = "a note", .x_label = "step", .y_label = "reward"};
  chart.lines = {{"plain", {{0, 0}, {1, 1}, {2, nan_value}, {3, 2}}}, {"\"other\"", {{0, 2}, {3, -1}}}};
  chart.references = {{1.5, "bound"}};
  const auto figure = render(chart);
  CHECK(coho::test::markup_error(figure) == "");
  CHECK_THAT(figure, ContainsSubstring("Reward &amp; &lt;KL&gt;"));
  CHECK(count(figure, "<path ") == 2);
  CHECK_THAT(figure, ContainsSubstring("&quot;other&quot;"));
  CHECK_THAT(figure, ContainsSubstring("class=\"reference\""));
  CHECK_THAT(figure, ContainsSubstring("role=\"img\""));
  CHECK(count(values_of(figure, "d")[0], "M") == 2);
  CHECK(count(values_of(figure, "d")[1], "M") == 1);
  CHECK(figure.find("nan") == std::string::npos);
  for (const auto* attribute : {"x", "x1", "x2", "cx"}) {
    for (const double x : numbers_of(figure, attribute)) CHECK((x >= 0 && x <= 640));
  }
}

TEST_CASE("the points of a line lie where the ticks say") {
  line_chart chart{.title = "t", .lines = {{"s", {{0, 0}, {10, 1}}}}};
  const auto figure = render(chart);
  std::istringstream path(values_of(figure, "d").at(0));
  char move = 0, line = 0;
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  REQUIRE(path >> move >> x1 >> y1 >> line >> x2 >> y2);
  CHECK((move == 'M' && line == 'L'));
  const auto grid = numbers_of(figure, "y1");
  const double bottom = *std::max_element(grid.begin(), grid.end()), top = *std::min_element(grid.begin(), grid.end());
  CHECK(y1 == Approx(bottom).margin(0.1));
  CHECK(y2 == Approx(top).margin(0.1));
  CHECK(x2 > x1);
}

TEST_CASE("odd data still give a chart") {
  for (const auto& points : std::vector<std::vector<std::pair<double, double>>>{
           {}, {{3, 7}}, {{0, nan_value}}, {{0, 5}, {1, 5}}, {{0, 1e300}, {1, -1e300}}, {{1, 1e9}, {2, 1e9 + 1e-6}}}) {
    const auto figure = render(line_chart{.title = "t", .lines = {{"s", points}}});
    CHECK(coho::test::markup_error(figure) == "");
    CHECK(figure.find("inf") == std::string::npos);
    CHECK(figure.find("nan") == std::string::npos);
  }
  CHECK_THROWS_AS(render(line_chart{.title = "none"}), coho::argument_error);
}

TEST_CASE("a bar chart draws one labelled bar a value from zero") {
  bar_chart chart{.title = "Accuracy", .value_label = "share", .categories = {"informative", "honest"}};
  chart.bars = {{"positive", {0.96, 0.5}}, {"negated", {-0.48, nan_value}}};
  chart.value_max = 1;
  const auto figure = render(chart);
  CHECK(coho::test::markup_error(figure) == "");
  CHECK(count(figure, "<rect ") == 2 + 3);  // two legend keys, three bars
  CHECK_THAT(figure, ContainsSubstring(">0.96</text>"));
  CHECK_THAT(figure, ContainsSubstring(">-0.48</text>"));
  std::vector<double> begins, widths;
  for (auto at = figure.find("<rect "); at != std::string::npos; at = figure.find("<rect ", at + 1)) {
    const auto bar = figure.substr(at, figure.find('>', at) - at);
    if (values_of(bar, "height")[0] != "14.0") continue;  // a key of the legend
    begins.push_back(numbers_of(bar, "x")[0]);
    widths.push_back(numbers_of(bar, "width")[0]);
  }
  REQUIRE(widths.size() == 3);
  CHECK(widths[0] == Approx(2 * widths[1]).margin(0.3));
  CHECK(begins[1] + widths[1] == Approx(begins[0]).margin(0.2));
  chart.bars[0].values.pop_back();
  CHECK_THROWS_AS(render(chart), coho::argument_error);
}

TEST_CASE("text is escaped, and control characters and broken UTF-8 do not get through") {
  CHECK(escape_html("<a href=\"x\">'&'</a>") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  CHECK(escape_html(std::string("a\0b\x1b", 4)) == "a�b�");
  CHECK(escape_html("\xC3(") == "�(");
  CHECK(escape_html("日本\n\t") == "日本\n\t");
}

TEST_CASE("overlaid series differ in colour or line style, and neighbours in both") {
  line_chart chart{.title = "t"};
  for (int i = 0; i < 32; ++i) chart.lines.push_back({"run " + std::to_string(i), {{0, i}, {1, i}}});
  const auto figure = render(chart);
  std::vector<std::string> styles;
  for (auto at = figure.find("<path "); at != std::string::npos; at = figure.find("<path ", at + 1))
    styles.push_back(values_of(figure.substr(at, figure.find('>', at) - at), "class")[0]);
  REQUIRE(styles.size() == 32);
  for (std::size_t i = 1; i < styles.size(); ++i) {
    CHECK(styles[i].substr(0, styles[i].find(" d")) != styles[i - 1].substr(0, styles[i - 1].find(" d")));
    CHECK(styles[i].substr(styles[i].find(" d")) != styles[i - 1].substr(styles[i - 1].find(" d")));
  }
  std::ranges::sort(styles);
  CHECK(std::unique(styles.begin(), styles.end()) == styles.end());
}

TEST_CASE("values behind an average are drawn behind every average, and listed in its stead") {
  line_chart chart{.title = "t"};
  chart.lines = {{"a", {{0, 1}, {1, 1.25}}, {{0, 1}, {1, 7}}}, {"b", {{0, 0}, {1, 0}}, {{0, 0}, {1, 3}}}};
  const auto figure = render(chart);
  CHECK(coho::test::markup_error(figure) == "");
  CHECK(figure.rfind("stroke raw") < figure.find("<path d=", figure.rfind("stroke raw")));
  CHECK(count(figure, "stroke raw") == 2);
  CHECK_THAT(figure, ContainsSubstring("<td>7</td><td>3</td>"));
  CHECK(figure.find("<td>1.25</td>") == std::string::npos);
  for (const double y : numbers_of(figure, "cy")) CHECK(y > 0);
}

TEST_CASE("a chart of a hundred thousand steps is no larger than its picture needs") {
  line_chart chart{.title = "t"};
  auto& line = chart.lines.emplace_back(line_chart::series{"long", {}});
  for (int i = 0; i < 100000; ++i) line.points.emplace_back(i, i == 54321 ? 1000 : std::sin(i));
  line.raw = line.points;
  const auto figure = render(chart);
  CHECK(figure.size() < 50'000);
  CHECK(coho::test::markup_error(figure) == "");
  // The spike of one step reaches the top of its axis.
  const auto grid = numbers_of(figure, "y1");
  const double top = *std::ranges::min_element(grid);
  CHECK_THAT(figure, ContainsSubstring(" " + std::to_string(static_cast<int>(top)) + ".0 "));
}
