#include "report/sample_table.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/markup.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string markup_of(const report_samples& samples) {
  const auto out = render(samples);
  CHECK(coho::test::markup_error(out) == "");
  return out;
}

report_samples pair_of(const std::string& before, const std::string& after) {
  return {.title = "t",
          .columns = {"before", "after"},
          .rows = {{.prompt = "p", .responses = {before, after}}},
          .compared_with = {0, 0}};
}

}  // namespace

TEST_CASE("responses side by side mark what changed, once on each side") {
  const auto out = markup_of(pair_of("a red fox", "a red & old fox"));
  CHECK_THAT(out, ContainsSubstring("a red <ins>&amp; old</ins> fox"));
  CHECK(out.find("<del>") == std::string::npos);
  CHECK_THAT(markup_of(pair_of("a red fox", "a fox")), ContainsSubstring("a <del>red</del> fox"));
}

TEST_CASE("a column that several are compared with is not marked itself") {
  const auto out = markup_of({.columns = {"before", "x", "y"},
                              .rows = {{.prompt = "p", .responses = {"a b c", "a b", "b c"}}},
                              .compared_with = {0, 0, 0}});
  CHECK(out.find("<del>") == std::string::npos);
  CHECK_THROWS_AS(render(report_samples{.columns = {"a"}, .compared_with = {0, 0}}), coho::argument_error);
  CHECK_THROWS_AS(render(report_samples{.columns = {"a"}, .compared_with = {1}}), coho::argument_error);
}

TEST_CASE("a long text is folded behind its beginning, and a very long one is cut") {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "word" + std::to_string(i) + " ";
  auto out = markup_of(pair_of(text, text));
  const auto fold = out.find("<details");
  REQUIRE(fold != std::string::npos);
  CHECK(out.find("word0 ") < fold);
  CHECK(out.find("word399") > fold);
  CHECK(out.find("word399", out.find("word399") + 1) != std::string::npos);

  out = markup_of(pair_of("short", std::string(3'000'000, 'x') + "END"));
  CHECK(out.size() < 60'000);
  CHECK_THAT(out, ContainsSubstring("more bytes)"));
  CHECK(out.find("END") == std::string::npos);
}

TEST_CASE("many short lines are folded as a long text is") {
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "- x\n";
  const auto out = markup_of(pair_of(lines, "y"));
  const auto fold = out.find("<details");
  REQUIRE(fold != std::string::npos);
  const auto open = std::count(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(fold), '-');
  CHECK(open > 8);
  CHECK(open < 20);
}

TEST_CASE("hostile text stays text, cut or folded at any place") {
  const std::string hostile = "</td><script>alert(1)</script><img src=x onerror='alert(2)'> & \"quoted\" \xFF\x01 日本";
  std::string text;
  for (int i = 0; i < 500; ++i) text += hostile;
  const auto out =
      markup_of({.title = hostile,
                 .columns = {hostile, hostile},
                 .rows = {{.prompt = text, .responses = {hostile, text}, .caption = hostile, .captions = {hostile}}},
                 .compared_with = {0, 0},
                 .note = hostile});
  CHECK(out.find("<script") == std::string::npos);
  CHECK(out.find("<img") == std::string::npos);
}
