#include "jsonl/dropped_parts.hpp"

#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("dropped parts: each record counts once for each thing, however often it is read") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", "1\n2\n");
  dropped_parts dropped;
  CHECK(dropped.report_lines().empty());
  for (int pass = 0; pass < 2; ++pass) {
    jsonl_reader reader(folder / "a.jsonl");
    for (json value; reader.next(value);) dropped.add("a tail, which is left out", reader);
    dropped.add("a head", "x");
  }
  CHECK(dropped.report_lines() ==
        std::vector<std::string>{"note: 1 record: a head", "note: 2 records: a tail, which is left out"});
  CHECK(dropped.drain_lines().size() == 2);
  CHECK(dropped.report_lines().empty());
  dropped.add("a head", "x");
  dropped.clear();
  CHECK(dropped.report_lines().empty());
}

TEST_CASE("dropped parts: several threads count together") {
  dropped_parts dropped;
  std::vector<std::thread> stages;
  for (int t = 0; t < 4; ++t)
    stages.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) dropped.add("thing " + std::to_string(i % 7), std::to_string(i));
    });
  for (auto& stage : stages) stage.join();
  REQUIRE(dropped.report_lines().size() == 7);
  CHECK(dropped.report_lines()[0] == "note: 286 records: thing 0");
}
