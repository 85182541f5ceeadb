#include "jsonl/record_losses.hpp"

#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("record losses: each record counts once for each thing, however often it is read") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", "1\n2\n");
  record_losses losses;
  CHECK(losses.lines().empty());
  for (int pass = 0; pass < 2; ++pass) {
    jsonl_reader reader(folder / "a.jsonl");
    for (json value; reader.next(value);) losses.add("a tail, which is left out", reader);
    losses.add("a head", "x");
  }
  CHECK(losses.lines() ==
        std::vector<std::string>{"note: 1 record: a head", "note: 2 records: a tail, which is left out"});
  CHECK(losses.take_lines().size() == 2);
  CHECK(losses.lines().empty());
  losses.add("a head", "x");
  losses.clear();
  CHECK(losses.lines().empty());
}

TEST_CASE("record losses: several threads count together") {
  record_losses losses;
  std::vector<std::thread> stages;
  for (int t = 0; t < 4; ++t)
    stages.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) losses.add("thing " + std::to_string(i % 7), std::to_string(i));
    });
  for (auto& stage : stages) stage.join();
  REQUIRE(losses.lines().size() == 7);
  CHECK(losses.lines()[0] == "note: 286 records: thing 0");
}
