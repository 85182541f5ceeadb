#include "collection/prompt_counts.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<prompt_counts> two_sources() {
  prompt_counts a{.name = "a", .path = "a.jsonl", .read = 10, .kept = 6, .asked = 8};
  a.of(prompt_removal::duplicate) = 3;
  a.of(prompt_removal::too_long) = 1;
  a.languages = {{"en", 5}, {"un", 1}};
  prompt_counts b{.name = "b", .path = "b.jsonl", .read = 5, .kept = 4, .asked = 4, .repaired = 1};
  b.of(prompt_removal::too_long) = 1;
  b.languages = {{"en", 1}, {"de", 3}};
  return {a, b};
}

}  // namespace

TEST_CASE("counts: totals, and how many are missing") {
  const auto sources = two_sources();
  CHECK(sources[0].short_by() == 2);
  CHECK(sources[1].short_by() == 0);
  const auto total = sum_counts(sources);
  CHECK(total.read == 15);
  CHECK(total.kept == 10);
  CHECK(total.repaired == 1);
  CHECK(total.languages == std::map<std::string, std::size_t>{{"de", 3}, {"en", 6}, {"un", 1}});
  CHECK(total.removed[static_cast<std::size_t>(prompt_removal::too_long)] == 2);
}

TEST_CASE("counts: held-out prompts are removed ones that were asked for, and parts have counts of their own") {
  auto sources = two_sources();
  sources[1].hold_out("en");
  CHECK(sources[1].kept == 3);
  CHECK(sources[1].of(prompt_removal::held_out) == 1);
  CHECK(sources[1].short_by() == 0);
  CHECK(sources[1].languages == std::map<std::string, std::size_t>{{"de", 3}});
  sources[0].parts = {{.name = "cot", .read = 4, .drawn = 3, .asked = 4}, {.name = "t0", .read = 2, .drawn = 2}};
  const auto file = counts_json(sources, 7);
  CHECK(file.at("sources")[0].at("parts").dump() ==
        R"({"cot":{"read":4,"drawn":3,"asked":4},"t0":{"read":2,"drawn":2}})");
  CHECK_FALSE(file.at("sources")[1].contains("parts"));
}

TEST_CASE("counts: the table has a column a reason that occurred, the file has them all") {
  const auto sources = two_sources();
  const auto table = format_counts_table(sources);
  CHECK(table.starts_with("source  read  kept  duplicate  too long\n"));
  CHECK_THAT(table, ContainsSubstring("\na         10     6          3         1\n"));
  CHECK_THAT(table, ContainsSubstring("\ntotal     15    10          3         2\n"));

  const auto file = counts_json(sources, 7);
  CHECK(file.at("seed") == 7);
  CHECK(file.at("sources").size() == 2);
  CHECK(file.at("sources")[0].at("short_by") == 2);
  CHECK_FALSE(file.at("sources")[1].contains("short_by"));
  CHECK(file.at("total").at("removed").size() == prompt_removals);
  CHECK(file.at("total").at("removed").at("duplicate") == 3);
  CHECK(file.at("total").at("languages").at("en") == 6);
}
