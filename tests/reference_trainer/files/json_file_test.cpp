#include "files/json_file.hpp"

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;

TEST_CASE("a JSON file is written and read") {
  const coho::test::temporary_directory folder;
  const nlohmann::json json{{"a", 1}, {"b", {1.5, "é"}}};
  write_json(folder / "a.json", json);
  CHECK(read_json(folder / "a.json") == json);
}

TEST_CASE("a broken JSON file is refused with the place of the fault") {
  const coho::test::temporary_directory folder;
  coho::test::write_bytes(folder / "a.json", "{\"a\": 1,}");
  CHECK_THROWS_WITH(read_json(folder / "a.json"), Catch::Matchers::ContainsSubstring("byte 9: is not a JSON document"));
  CHECK_THROWS_AS(read_json(folder / "a.json", 3), coho::file_error);
  CHECK_THROWS_AS(read_json(folder / "none.json"), coho::file_error);
}

TEST_CASE("text that is not UTF-8 is written with replacement characters") {
  const coho::test::temporary_directory folder;
  write_json(folder / "a.json", {{"path", "caf\xE9"}});
  CHECK(read_json(folder / "a.json").at("path") == "caf\uFFFD");
}

TEST_CASE("a JSON file that is of another kind, empty or holds what no double does is refused by name") {
  const coho::test::temporary_directory folder;
  const auto refused = [&](const std::string& bytes, const std::string& says) {
    coho::test::write_bytes(folder / "a.json", bytes);
    CHECK_THROWS_WITH(read_json(folder / "a.json"), Catch::Matchers::ContainsSubstring(says));
    CHECK_THROWS_WITH(read_ordered_json(folder / "a.json"), Catch::Matchers::ContainsSubstring(says));
  };
  refused("{\"a\": 1e999}", "a.json: byte 7: the number 1e999 is larger than a double can hold; write");
  refused("[NaN]", "byte 2: NaN is Python's");
  refused("version https://git-lfs.github.com/spec/v1\nsize 5\n", "a.json: is a Git LFS pointer to 5 bytes");
  refused(" \n", "a.json: is empty");
}
