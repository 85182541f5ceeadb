// Packed files and Parquet that cannot be used: each is a `file_error` with path, place, what is wrong and what mends
// it.

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <coho/error.hpp>

#include "jsonl/parquet_rows.hpp"
#include "records/records.hpp"
#include "support/catch.hpp"
#include "support/packed_files.hpp"
#include "support/parquet_files.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;

namespace {

struct bad_file {
  std::string name, bytes, place, says;
};

const std::string two_lines = "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n";

std::string flip(std::string bytes, std::size_t at) {
  bytes.at(at) = static_cast<char>(bytes.at(at) ^ 0x55);
  return bytes;
}

// Reads the file as prompts, which must fail as the row says.
void check_refused(const temporary_directory& folder, const bad_file& bad) {
  INFO(bad.name << ": " << bad.says);
  const auto path = folder / bad.name;
  write_bytes(path, bad.bytes);
  try {
    record_reader<prompt_record> reader(path);
    for (prompt_record record; reader.next(record);) {
    }
    FAIL_CHECK("was read");
  } catch (const coho::file_error& problem) {
    CHECK(problem.path() == path.string());
    CHECK(problem.place() == bad.place);
    CHECK_THAT(problem.what(), Catch::Matchers::ContainsSubstring(bad.says));
  }
}

}  // namespace

TEST_CASE("bad data files: packed text") {
  const temporary_directory folder;
  const auto zstd = pack_zstd(two_lines), gzip = pack_gzip(two_lines);
  const std::vector<bad_file> files{
      {"header.jsonl.zst", zstd.substr(0, 5), "line 1", "the zstd stream is cut off; fetch it again"},
      {"half.jsonl.zst", zstd.substr(0, zstd.size() - 6), "line 1", "the zstd stream is cut off"},
      {"checksum.jsonl.zst", flip(zstd, zstd.size() - 1), "line 1", "the zstd stream is damaged"},
      {"second.jsonl.zst", zstd + zstd.substr(0, 9), "line 3", "the zstd stream is cut off"},
      {"tail.jsonl.zst", zstd + "tail", "line 3", "the zstd stream is damaged"},
      {"table.jsonl.zst", pack_zstd("prompt,answer\na,b\n"), "line 1", "comma-separated"},
      {"page.jsonl.zst", pack_zstd("<!doctype html>"), "", "is a web page"},
      {"torn.jsonl.zst", pack_zstd("{\"prompt\":\"a\"}\n{\"prom"), "line 2", "the JSON value is cut off"},
      {"bytes.jsonl.zst", pack_zstd("{\"prompt\":\"\xFF\"}\n"), "line 1", "is not UTF-8"},
      {"empty.jsonl.zst", pack_zstd(""), "", "has no records"},
      {"parquet.zst", pack_zstd("PAR1"), "", "is a Parquet file; unpack it"},
      {"twice.jsonl.zst", pack_zstd(zstd), "", "is compressed with zstd; unpack it"},
      {"half.jsonl.gz", gzip.substr(0, gzip.size() - 9), "line 3", "the gzip stream is cut off; fetch it again"},
      {"checksum.jsonl.gz", flip(gzip, gzip.size() - 6), "line 3", "the gzip stream is damaged"},
      {"tail.jsonl.gz", gzip + "tail", "line 3", "the gzip stream is damaged: something else follows it"},
  };
  for (const auto& bad : files) check_refused(folder, bad);
}

#if __has_include(<parquet/arrow/writer.h>)

TEST_CASE("bad data files: Parquet") {
  const temporary_directory folder;
  const auto parquet = [&](const std::string& lines, const parquet_form& form = {}) {
    write_parquet(folder / "whole", lines, form);
    return read_bytes(folder / "whole");
  };
  const auto table = [&](const std::shared_ptr<arrow::Schema>& schema, const arrow::ArrayVector& columns) {
    write_table(folder / "whole", *arrow::Table::Make(schema, columns));
    return read_bytes(folder / "whole");
  };
  const auto good = parquet(two_lines), sums = parquet(two_lines, {.checksums = true});
  arrow::StringBuilder builder;
  require_ok(builder.Append("a"));
  const auto text = require_value(builder.Finish());
  require_ok(builder.Append("\xFF"));
  const auto bytes = require_value(builder.Finish());
  const auto field = [](const char* name) { return arrow::field(name, arrow::utf8()); };
  auto zeros = good;
  std::uint32_t footer_bytes = 0;
  std::memcpy(&footer_bytes, good.data() + good.size() - 8, 4);
  zeros.replace(good.size() - 8 - footer_bytes, 32, 32, '\0');
  auto long_footer = good;
  long_footer.replace(good.size() - 8, 4, "\xFF\xFF\xFF\x7F");
  const std::vector<bad_file> files{
      {"magic.parquet", "PAR1", "", "the Parquet file is cut off"},
      {"ends.parquet", "PAR1PAR1", "", "the Parquet file is cut off"},
      {"half.parquet", good.substr(0, good.size() / 2), "", "is cut off: its footer is not at its end; fetch it again"},
      {"last.parquet", good.substr(0, good.size() - 1), "", "the Parquet file is cut off"},
      {"footer.parquet", zeros, "", "the Parquet file is damaged: "},
      {"length.parquet", long_footer, "", "the Parquet file is cut off"},
      {"page.parquet", flip(sums, 40), "", "the Parquet file is damaged: "},
      {"head.parquet", flip(good, 5), "", "the Parquet file is damaged: "},
      {"encrypted.parquet", parquet(two_lines, {.encrypted = true, .encrypted_footer = true}), "",
       "is an encrypted Parquet file; write it again without encryption"},
      {"columns.parquet", parquet(two_lines, {.encrypted = true}), "",
       "the Parquet file is encrypted; write it again without encryption"},
      {"twins.parquet", table(arrow::schema({field("prompt"), field("prompt")}), {text, text}), "",
       "has two columns \"prompt\"; rename one of them"},
      {"bytes.parquet", table(arrow::schema({field("prompt")}), {bytes}), "row 1",
       "byte 1 of column \"prompt\" is not UTF-8"},
      {"numbers.parquet", parquet("{\"prompt\":1}\n"), "row 1", "field \"prompt\" is of type number, expected text"},
      {"other.parquet", parquet("{\"title\":\"a\",\"body\":\"b\"}\n"), "row 1",
       "not a prompt record: found a record with the fields title, body; accepted are"},
      {"null.parquet", parquet("{\"prompt\":\"a\"}\n{\"prompt\":null}\n"), "row 2", "not a prompt record"},
      {"blank.parquet", parquet("{\"prompt\":\"a\"}\n{\"prompt\":\" \"}\n"), "row 2", "the prompt is empty"},
      {"rows.parquet", table(arrow::schema({field("prompt")}), {text->Slice(0, 0)}), "", "has no records"},
      {"packed.parquet.gz", pack_gzip(good), "", "is a Parquet file; unpack it"},
      {"packed.parquet.zst", pack_zstd(good), "", "is a Parquet file; unpack it"},
      {"arrow.parquet", "ARROW1" + std::string(60, '\0'), "", "is an Arrow file"},
      {"name.parquet", "a,b\n1,2\n", "line 1", "comma-separated"},
  };
  for (const auto& bad : files) check_refused(folder, bad);
  write_bytes(folder / "good.parquet", good);
  CHECK_THROWS_WITH(
      record_reader<prompt_record>(folder / "good.parquet", {{"prompt", "question"}}),
      Catch::Matchers::ContainsSubstring("good.parquet: there is no column \"question\"; the columns are prompt"));
}

#else

TEST_CASE("bad data files: Parquet is not built") { WARN("Parquet is not built: skipped"); }

#endif
