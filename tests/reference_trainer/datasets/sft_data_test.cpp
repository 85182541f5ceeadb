#include "datasets/sft_data.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

sft_data_settings sft_files(const settings& given) { return read_given<sft_data_settings>(config(given), "sft"); }

settings two_files(const temporary_directory& folder) {
  write_bytes(folder / "a.jsonl",
              "{\"instruction\":\"a\",\"output\":\"1\"}\n{\"instruction\":\"b\",\"output\":\"2\"}\n");
  write_bytes(folder / "c.jsonl", "{\"instruction\":\"c\",\"output\":\"3\"}\n");
  return {"sft.data=['" + (folder / "a.jsonl").string() + "', '" + (folder / "c.jsonl").string() + "', 'identity']",
          "sft.identity.name=Ada", "sft.identity.maker=the Coho team"};
}

}  // namespace

TEST_CASE("sft data: files one after the other, and the assistant's own identity") {
  const temporary_directory folder;
  const auto records = load_sft_records(sft_files(two_files(folder)));
  REQUIRE(records.size() == 3 + 13 * 70);
  CHECK(records[0].prompt.instruction == "a");
  CHECK(records[2].response == "3");
  const auto of = [&](std::string_view question) {
    return std::ranges::count_if(records, [&](const auto& r) { return r.prompt.instruction == question; });
  };
  CHECK(of("Who made you?") == 26);
  CHECK(std::ranges::any_of(
      records, [](const auto& r) { return r.response == "I was made by the Coho team. My name is Ada."; }));
  CHECK(load_sft_records(sft_files(two_files(folder) + settings{"sft.identity.repeats=1"})).size() == 73);
  CHECK(load_sft_records(sft_files(two_files(folder) + settings{"sft.limit=1"})).size() == 3);
  CHECK(load_sft_records(sft_files({"sft.data=" + (folder / "a.jsonl").string()})).size() == 2);
}

TEST_CASE("sft data: each question and answer of the identity meets both of two templates taken in turn") {
  const auto records =
      load_sft_records(sft_files({"sft.data=identity", "sft.identity.name=Ada", "sft.identity.maker=the Coho team"}));
  REQUIRE(records.size() == 13 * 70);
  std::map<std::pair<std::string, std::string>, std::array<int, 2>> turns;
  for (std::size_t i = 0; i < records.size(); ++i) ++turns[{records[i].prompt.instruction, records[i].response}][i % 2];
  CHECK(turns.size() == 70);
  for (const auto& [texts, count] : turns) {
    CAPTURE(texts.first);
    CHECK(count[0] + count[1] == 13);
    CHECK(std::min(count[0], count[1]) == 6);
  }
}

TEST_CASE("sft data: an identity without a name is refused, and stands for no path") {
  CHECK_THROWS_WITH(sft_files({"sft.data=identity", "sft.identity.maker=us"}), ContainsSubstring("sft.identity.name"));
  CHECK_THROWS_WITH(sft_files({"sft.data=identity", "sft.identity.name=Ada"}), ContainsSubstring("sft.identity.maker"));
  CHECK_THROWS_WITH(sft_files({"sft.data=a", "sft.identity.repeats=0"}), ContainsSubstring("sft.identity.repeats"));
  CHECK_THROWS_AS(sft_files({"sft.data=[]"}), config_error);
  CHECK_THROWS_AS(sft_files({}), config_error);
  CHECK(sft_data_settings::is_identity("identity"));
  CHECK_FALSE(sft_data_settings::is_identity("elsewhere/identity"));
  CHECK_FALSE(sft_data_settings::is_identity("identity.jsonl"));
}
