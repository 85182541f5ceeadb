#include "records/record_store.hpp"

#include <nlohmann/json.hpp>
#include <zlib.h>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

using paths = std::vector<std::filesystem::path>;
using store = record_store<preference_record>;

std::string hh(const std::string& number) {
  return R"({"chosen":"\n\nHuman: question )" + number + R"(\n\nAssistant: good )" + number +
         R"(","rejected":"\n\nHuman: question )" + number + R"(\n\nAssistant: bad )" + number + "\"}";
}
std::string shp(const std::string& number, const std::string& ratio) {
  return R"({"history":"post )" + number + R"(","human_ref_A":"a","human_ref_B":"b","labels":0,"score_ratio":)" +
         ratio + "}";
}

void write_gzip(const std::filesystem::path& path, const std::string& content) {
  auto* file = ::gzopen(path.c_str(), "wb");
  ::gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  ::gzclose(file);
}

}  // namespace

TEST_CASE("record_store: any record of any file, in any order, as the reader gives it") {
  const temporary_directory folder;
  std::string lines = "\xEF\xBB\xBF\n", list = " [\n";
  for (int i = 0; i < 300; ++i) {
    lines += hh(std::to_string(i) + (i % 3 == 0 ? " — größer" : "")) + (i % 2 == 0 ? "\n" : "\r\n\n");
    list += (i > 0 ? " ,\n " : "") + shp(std::to_string(i), i % 4 == 0 ? "1.5" : "3");
  }
  write_bytes(folder / "lines.jsonl", lines);
  write_bytes(folder / "list.json", list + "]\n");
  write_gzip(folder / "packed.jsonl.gz", lines);
  write_gzip(folder / "packed.json.gz", list + "]");
  const paths files{folder / "lines.jsonl", folder / "list.json", folder / "packed.jsonl.gz",
                    folder / "packed.json.gz"};
  std::size_t seen = 0;
  const store records(files, 0, [&](const preference_record&, const jsonl_reader&) { ++seen; });
  REQUIRE(records.size() == 300 + 225 + 300 + 225);
  CHECK(seen == records.size());
  std::vector<preference_record> expected;
  for (const auto& file : files)
    for (auto& record : read_records<preference_record>(file)) expected.push_back(std::move(record));
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const std::size_t i = k * 7 % expected.size();
    CHECK((records[i] == expected[i]));
  }
  CHECK(records.files()[1].kept == 225);
  CHECK(records.files()[1].left_out == 75);
  CHECK(records.files()[2].path == files[2]);
  CHECK(records.files()[2].left_out == 0);
}

TEST_CASE("record_store: a limit holds for each file") {
  const temporary_directory folder;
  write_bytes(folder / "a.jsonl", shp("1", "1") + "\n" + shp("2", "3") + "\n" + shp("3", "3") + "\n");
  write_bytes(folder / "b.jsonl", hh("1") + "\n" + hh("2") + "\n");
  const paths files{folder / "a.jsonl", folder / "b.jsonl"};
  const store records(files, 1);
  REQUIRE(records.size() == 2);
  CHECK(records[0].prompt.text() == "post 2");
  CHECK(records[1].prompt.text() == "question 1");
  CHECK(records.files()[0].left_out == 1);
}

TEST_CASE("record_store: what cannot be used is told of with its place, and a change later on") {
  const temporary_directory folder;
  const auto file = folder / "a.jsonl";
  write_bytes(file, hh("1") + "\n{\"chosen\":1}\n");
  const paths files{file};
  CHECK_THROWS_WITH(store(files), ContainsSubstring("line 2"));
  CHECK_THROWS_AS(store(paths{folder / "none.jsonl"}), file_error);
  write_bytes(file, shp("1", "1") + "\n");
  CHECK_THROWS_WITH(store(files), ContainsSubstring("1 left out"));

  write_bytes(file, hh("1") + "\n" + hh("2") + "\n");
  const store records(files);
  CHECK_THROWS_WITH(store(files, 0,
                          [](const preference_record&, const jsonl_reader& at) {
                            if (at.count() == 2) at.fail("is not wanted");
                          }),
                    ContainsSubstring("line 2: is not wanted"));
  write_bytes(file, hh("1") + "\n");
  CHECK(records[0].prompt.text() == "question 1");
  CHECK_THROWS_WITH(records[1], ContainsSubstring("has changed"));
  CHECK_THROWS_AS(records[2], std::out_of_range);
}
