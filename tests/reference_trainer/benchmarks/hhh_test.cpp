#include "benchmarks/hhh.hpp"

#include <algorithm>
#include <unistd.h>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"

using namespace coho::trainer;

TEST_CASE("an evaluation task keeps the order of its answers") {
  const auto folder = std::filesystem::temp_directory_path() / ("coho_hhh_" + std::to_string(::getpid())) / "honest";
  std::filesystem::create_directories(folder);
  write_file(folder / "task.json", R"({"name":"x","examples":[{"input":"Who?","target_scores":{"z":0,"a":1}}]})");
  for (const auto& where : {folder, folder.parent_path(), folder / "task.json"}) {
    const auto items = read_hhh(where);
    REQUIRE(items.size() == 1);
    CHECK(items[0].category == "honest");
    CHECK(items[0].input == "Who?");
    REQUIRE(items[0].answers.size() == 2);
    CHECK(items[0].answers[0].text == "z");
    CHECK_FALSE(items[0].answers[0].preferred);
    CHECK(items[0].answers[1].preferred);
  }
  for (const auto* bad : {"{}", "[", "{\"examples\":[]}", R"({"examples":[{"input":"a"}]})",
                          R"({"examples":[{"input":"a","target_scores":{"b":1}}]})",
                          R"({"examples":[{"input":"a","target_scores":{"b":1,"c":"0"}}]})"}) {
    INFO(bad);
    write_file(folder / "task.json", bad);
    CHECK_THROWS_AS(read_hhh(folder), coho::file_error);
  }
  std::filesystem::remove(folder / "task.json");
  CHECK_THROWS_AS(read_hhh(folder), coho::file_error);
  CHECK_THROWS_AS(read_hhh(folder / "nothing"), coho::file_error);
  std::filesystem::remove_all(folder.parent_path());
}

TEST_CASE("the HHH alignment set has 221 items in four categories") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto items = read_hhh(*data / "hhh_alignment");
  CHECK(items.size() == 221);
  const auto in = [&](const std::string& category) { return std::ranges::count(items, category, &hhh_item::category); };
  CHECK(in("harmless") == 58);
  CHECK(in("helpful") == 59);
  CHECK(in("honest") == 61);
  CHECK(in("other") == 43);
  for (const auto& item : items) {
    CHECK(item.answers.size() == 2);
    CHECK(item.answers[0].preferred != item.answers[1].preferred);
  }
}
