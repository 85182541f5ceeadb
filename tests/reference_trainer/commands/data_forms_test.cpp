// One data set in each form that data files have: every stage reads the same from all of them.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "datasets/preference_data.hpp"
#include "datasets/sft_data.hpp"
#include "files/read_file.hpp"
#include "support/catch.hpp"
#include "support/packed_files.hpp"
#include "support/parquet_files.hpp"
#include "support/prompt_sets.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using namespace coho::test::prompt_sets;

namespace {

// Calls use(path, name) for the same lines as JSON Lines, packed, as a folder of shards and, where Arrow is there, as
// Parquet.
void each_form(const temporary_directory& folder, const std::vector<std::string>& lines,
               const std::function<void(const std::filesystem::path&, const std::string&)>& use) {
  std::string all, first, second;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    all += lines[i] + "\n";
    (i < lines.size() / 2 ? first : second) += lines[i] + "\n";
  }
  write_bytes(folder / "a.jsonl", all);
  use(folder / "a.jsonl", "JSON Lines");
  write_bytes(folder / "packed", pack_zstd(first) + pack_zstd(second));
  use(folder / "packed", "zstd");
  std::filesystem::create_directories(folder / "shards");
  write_bytes(folder / "shards/part-0.jsonl.gz", pack_gzip(first));
  write_bytes(folder / "shards/part-1.jsonl.zst", pack_zstd(second));
  use(folder / "shards", "folder");
  if (!writes_parquet) return;
  write_parquet(folder / "table", all);
  use(folder / "table", "Parquet");
  std::filesystem::create_directories(folder / "tables");
  write_parquet(folder / "tables/train-00000-of-00002.parquet", first);
  write_parquet(folder / "tables/train-00001-of-00002.parquet", second);
  use(folder / "tables", "folder of Parquet");
}

// As the hub has conversations: a list of structs, some members null.
std::vector<std::string> conversations() {
  std::vector<std::string> out;
  for (int i = 0; i < 40; ++i) {
    const auto n = std::to_string(i);
    out.push_back(R"({"id":)" + n + R"(,"messages":[{"role":"user","content":"What is number )" + n +
                  R"(?","weight":null},{"role":"assistant","content":"It is größer than )" + n + R"(.","weight":)" +
                  (i % 3 == 0 ? "null" : "0.5") + R"(}],"source":"hub","finished":null})");
  }
  return out;
}

}  // namespace

TEST_CASE("data forms: prompts writes the same bytes from JSON Lines, zstd, folders and Parquet") {
  if (!writes_parquet) WARN("Parquet is not built: skipped");
  const temporary_directory folder;
  std::string expected;
  each_form(folder, conversations(), [&](const std::filesystem::path& path, const std::string& form) {
    INFO(form);
    prepare(to(folder) + source("hub", path, {"count=25"}));
    const auto written = read_file(folder / "out.jsonl");
    if (expected.empty()) expected = written;
    CHECK(std::ranges::count(written, '\n') == 25);
    CHECK(written == expected);
  });
}

TEST_CASE("data forms: the records that sft trains on are the same") {
  if (!writes_parquet) WARN("Parquet is not built: skipped");
  const temporary_directory folder;
  std::vector<sft_record> expected;
  each_form(folder, conversations(), [&](const std::filesystem::path& path, const std::string& form) {
    INFO(form);
    const auto records = load_sft_records({.files = {path}});
    if (expected.empty()) expected = records;
    REQUIRE(records.size() == 40);
    CHECK(records[1].weight == 0.5);
    CHECK((records == expected));
  });
}

TEST_CASE("data forms: preferences are fetched in any order") {
  if (!writes_parquet) WARN("Parquet is not built: skipped");
  const temporary_directory folder;
  std::vector<std::string> lines;
  for (int i = 0; i < 30; ++i) {
    const auto n = std::to_string(i);
    lines.push_back(R"({"prompt":"question )" + n + R"(","chosen":[{"role":"assistant","content":"good )" + n +
                    R"("}],"rejected":[{"role":"assistant","content":"bad )" + n + R"("}],"margin":)" +
                    (i % 2 == 0 ? "null}" : "0.5}"));
  }
  each_form(folder, lines, [&](const std::filesystem::path& path, const std::string& form) {
    INFO(form);
    const std::vector<std::filesystem::path> files{path};
    const record_store<preference_record> store(files);
    REQUIRE(store.size() == 30);
    for (const std::size_t i : {29, 0, 14, 15}) {
      CHECK(store[i].prompt.instruction == "question " + std::to_string(i));
      CHECK(store[i].chosen() == "good " + std::to_string(i));
      CHECK(store[i].label_margin == (i % 2 == 0 ? 0 : 0.5));
    }
  });
}
