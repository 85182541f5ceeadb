#include "jsonl/column_choice.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "records/record_store.hpp"
#include "support/catch.hpp"
#include "support/packed_files.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("column choice: a column, a member, an item, and a name with dots in it") {
  const auto record = json::parse(R"({"a":1,"b":{"c":{"d":2},"e":[3,{"f":4}]},"b.c":5,"g":null})");
  const auto found = [&](const char* path) {
    const json* value = find_column(record, path);
    return value == nullptr ? std::string("absent") : value->dump();
  };
  CHECK(found("a") == "1");
  CHECK(found("b.c") == "5");
  CHECK(found("b.c.d") == "2");
  CHECK(found("b.e.0") == "3");
  CHECK(found("b.e.1.f") == "4");
  CHECK(found("g") == "null");
  for (const char* path : {"x", "a.b", "b.e.2", "b.e.one", "b.e.-1", "g.a", "", ".", "b."})
    CHECK(found(path) == "absent");
}

TEST_CASE("column choice: records have the chosen columns only, under the chosen names") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl",
              "{\"question\":\"q\",\"text\":\"t\",\"answers\":{\"text\":[\"x\",\"y\"]}}\n{\"text\":\"u\"}\n"
              "{\"question\":\"r\",\"answers\":{\"text\":[\"z\"]}}\n");
  jsonl_reader reader(folder / "a.jsonl", {},
                      {{"prompt", "question"}, {"response", "answers.text.0"}, {"system", "system?"}});
  json value;
  REQUIRE(reader.next(value));
  CHECK(value.dump() == R"({"prompt":"q","response":"x"})");
  CHECK_THROWS_WITH(reader.next(value),
                    ContainsSubstring("a.jsonl: line 2: there is no column \"question\"; the columns are text;"));
  REQUIRE(reader.recover());
  REQUIRE(reader.next(value));
  CHECK(value.dump() == R"({"prompt":"r","response":"z"})");
  CHECK_FALSE(reader.next(value));
  write_bytes(folder / "texts.jsonl", "\"only a text\"\n");
  CHECK_THROWS_WITH(read_records<prompt_record>(folder / "texts.jsonl", 1, {{"prompt", "question"}}),
                    ContainsSubstring("the value is of type string, not an object"));
}

TEST_CASE("column choice: records are fetched again with it, from plain and from packed files") {
  const temporary_directory folder;
  std::string lines;
  for (int i = 0; i < 9; ++i) {
    const auto n = std::to_string(i);
    lines += R"({"q":"question )" + n + R"(","best":"good )" + n + R"(","worst":"bad","prompt":"another"})" + "\n";
  }
  write_bytes(folder / "a.jsonl", lines);
  write_bytes(folder / "b.jsonl", pack_zstd(lines));
  const std::vector<std::filesystem::path> files{folder / "a.jsonl", folder / "b.jsonl"};
  const record_store<preference_record> store(files, 0, {},
                                              {{"prompt", "q"}, {"chosen", "best"}, {"rejected", "worst"}});
  REQUIRE(store.size() == 18);
  for (const std::size_t i : {17, 3, 0, 9}) {
    CHECK(store[i].prompt.instruction == "question " + std::to_string(i % 9));
    CHECK(store[i].chosen() == "good " + std::to_string(i % 9));
    CHECK(store[i].rejected() == "bad");
  }
}
