#include "jsonl/bad_records.hpp"

#include <fstream>
#include <string>
#include <vector>

#include "records/records.hpp"
#include "support/catch.hpp"
#include "support/heard_notices.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

// The setting is the program's: back to refusing at the end.
struct skipping : coho::test::heard_notices {
  skipping() { bad_records::setting().skip_bad_records(); }
  ~skipping() { bad_records::setting().refuse_bad_records(); }
};

std::vector<std::string> read(const std::filesystem::path& path) {
  std::vector<std::string> out;
  for (const auto& record : read_records<prompt_record>(path)) out.push_back(record.instruction);
  return out;
}

const std::vector<std::string> bad_lines{
    "{\"instruction\": \"cut off",
    "{\"unknown\": 1}",
    "{\"instruction\": \"  \"}",
    "{\"instruction\": 7}",
    "{\"instruction\": \"" + std::string(max_record_bytes, 'x') + "\"}",
    "{\"instruction\": \"\xC3(\"}",
    "not JSON at all",
};

std::string file_of(const std::vector<std::string>& bad) {
  std::string out = "{\"instruction\": \"first\"}\n";
  for (const auto& line : bad) out += line + "\n";
  return out + "{\"instruction\": \"last\"}\n";
}

}  // namespace

TEST_CASE("bad records: the first one ends the reading, with its line, unless they are to be passed over") {
  const coho::test::temporary_directory folder;
  const auto path = folder / "prompts.jsonl";
  for (const auto& line : bad_lines) {
    coho::test::write_bytes(path, file_of({line}));
    CHECK_THROWS_WITH(read(path), ContainsSubstring("prompts.jsonl: line 2: "));
    const skipping all;
    CHECK(read(path) == std::vector<std::string>{"first", "last"});
    CHECK(bad_records::setting().count() == 1);
    REQUIRE(all.lines().size() == 1);
    CHECK_THAT(all.lines()[0], ContainsSubstring("skipped: ") && ContainsSubstring("prompts.jsonl: line 2: "));
  }
  CHECK_FALSE(bad_records::setting().is_skipping());
}

TEST_CASE("bad records: each is counted once, however often the file is read, and the first twenty are named") {
  const coho::test::temporary_directory folder;
  const auto path = folder / "prompts.jsonl";
  coho::test::write_bytes(path, file_of(bad_lines));
  {
    const skipping all;
    CHECK(read(path) == read(path));
    CHECK(bad_records::setting().count() == bad_lines.size());
    CHECK(all.lines().size() == bad_lines.size());
  }
  coho::test::write_bytes(path, file_of(std::vector<std::string>(50, "nothing")));
  const skipping all;
  CHECK(read(path).size() == 2);
  CHECK(bad_records::setting().count() == 50);
  CHECK(all.lines().size() == bad_records::most_notes + 1);
}

TEST_CASE("bad records: items of an array are passed over, a file that is damaged as a whole is not") {
  const coho::test::temporary_directory folder;
  const auto path = folder / "prompts.json";
  const skipping all;
  coho::test::write_bytes(path, "[{\"instruction\": \"a\"}, {\"other\": 1}, {bad}, {\"instruction\": \"b\"}]");
  CHECK(read(path) == std::vector<std::string>{"a", "b"});
  CHECK(bad_records::setting().count() == 2);
  coho::test::write_bytes(path, "[{\"instruction\": \"a\"}, {\"instruction\": \"b\"");
  CHECK_THROWS_WITH(read(path), ContainsSubstring("the file ends inside the array"));
  coho::test::write_bytes(path, "{\"other\": 1}\n");
  CHECK_THROWS_WITH(read(path), ContainsSubstring("has no records"));
}
