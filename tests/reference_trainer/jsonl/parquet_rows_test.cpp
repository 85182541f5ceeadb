#include "jsonl/parquet_rows.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "jsonl/jsonl.hpp"
#include "support/catch.hpp"
#include "support/heard_notices.hpp"
#include "support/parquet_files.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<std::string> read_all(const std::filesystem::path& path, const jsonl_options& options = {}) {
  std::vector<std::string> out;
  jsonl_reader reader(path, options);
  for (json value; reader.next(value);) out.push_back(value.dump());
  return out;
}

}  // namespace

TEST_CASE("parquet rows: without Arrow a file is refused with how to get it") {
  if (reads_parquet()) return;
  const temporary_directory folder;
  write_bytes(folder / "a.parquet", "PAR1 and so on");
  CHECK_THROWS_WITH(jsonl_reader(folder / "a.parquet"),
                    ContainsSubstring("built without Arrow") && ContainsSubstring("pip install pyarrow"));
  WARN("Parquet is not built: skipped");
}

#if __has_include(<parquet/arrow/writer.h>)

TEST_CASE("parquet rows: lists, objects, texts, numbers and nulls are the values of JSON Lines") {
  const temporary_directory folder;
  const std::string lines =
      R"({"id":1,"score":0.5,"ok":true,"prompt":"a\nß€𝄞","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}],"tags":["p","q"],"meta":{"n":3,"deep":{"list":[[1,2],[],[3]]}},"none":null})"
      "\n"
      R"({"id":-9007199254740993,"score":1e300,"ok":false,"prompt":"","messages":[],"tags":[],"meta":{"n":null,"deep":null},"none":null})"
      "\n"
      R"({"id":null,"score":null,"ok":null,"prompt":null,"messages":null,"tags":["",null],"meta":null,"none":null})"
      "\n";
  write_bytes(folder / "a.jsonl", lines);
  const auto expected = read_all(folder / "a.jsonl");
  REQUIRE(expected.size() == 3);
  for (const auto compression :
       {parquet::Compression::UNCOMPRESSED, parquet::Compression::SNAPPY, parquet::Compression::GZIP,
        parquet::Compression::ZSTD, parquet::Compression::LZ4, parquet::Compression::BROTLI})
    for (const std::int64_t rows : {1, 2, 1024}) {
      write_parquet(folder / "a.data", lines, {.rows_per_group = rows, .compression = compression});
      CHECK(read_all(folder / "a.data") == expected);
    }
}

TEST_CASE("parquet rows: other types of numbers, texts and times") {
  const temporary_directory folder;
  const auto column = [](const std::shared_ptr<arrow::DataType>& type, const std::string& values) {
    return require_value(arrow::json::TableReader::Make(
                             arrow::default_memory_pool(),
                             std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(values)),
                             arrow::json::ReadOptions::Defaults(),
                             {.explicit_schema = arrow::schema({arrow::field("x", type)})}))
        ->Read();
  };
  const auto read = [&](const std::shared_ptr<arrow::DataType>& type, const std::string& value) {
    write_table(folder / "a.parquet", *require_value(column(type, "{\"x\":" + value + "}\n")));
    return read_all(folder / "a.parquet").at(0);
  };
  CHECK(read(arrow::int8(), "-128") == R"({"x":-128})");
  CHECK(read(arrow::uint64(), "18446744073709551615") == R"({"x":18446744073709551615})");
  CHECK(read(arrow::float32(), "0.25") == R"({"x":0.25})");
  CHECK(read(arrow::decimal128(9, 2), "\"12.50\"") == R"({"x":12.5})");
  CHECK(read(arrow::date32(), "19782") == R"({"x":"2024-02-29"})");
  CHECK(read(arrow::large_utf8(), "\"long\"") == R"({"x":"long"})");
  CHECK(read(arrow::binary(), "\"text\"") == R"({"x":"text"})");
  CHECK_THAT(read(arrow::timestamp(arrow::TimeUnit::SECOND), "\"2024-02-29 12:30:00\""),
             ContainsSubstring("2024-02-29 12:30:00"));
}

TEST_CASE("parquet rows: codes, lists of one length, and maps") {
  const temporary_directory folder;
  arrow::StringDictionaryBuilder words;
  for (const char* word : {"b", "a", "b"}) require_ok(words.Append(word));
  auto* pool = arrow::default_memory_pool();
  arrow::FixedSizeListBuilder points(pool, std::make_shared<arrow::Int64Builder>(), 2);
  auto& numbers = static_cast<arrow::Int64Builder&>(*points.value_builder());
  arrow::MapBuilder maps(pool, std::make_shared<arrow::Int32Builder>(), std::make_shared<arrow::StringBuilder>());
  for (int i = 0; i < 3; ++i) {
    require_ok(points.Append());
    require_ok(numbers.AppendValues({i, -i}));
    require_ok(maps.Append());
    for (int k = 0; k < i; ++k) {
      require_ok(static_cast<arrow::Int32Builder&>(*maps.key_builder()).Append(7 - k));
      require_ok(static_cast<arrow::StringBuilder&>(*maps.item_builder()).Append("v"));
    }
  }
  const arrow::ArrayVector columns{require_value(words.Finish()), require_value(points.Finish()),
                                   require_value(maps.Finish())};
  write_table(folder / "a.parquet", *arrow::Table::Make(arrow::schema({arrow::field("word", columns[0]->type()),
                                                                       arrow::field("point", columns[1]->type()),
                                                                       arrow::field("map", columns[2]->type())}),
                                                        columns));
  CHECK(read_all(folder / "a.parquet") ==
        std::vector<std::string>{R"({"word":"b","point":[0,0],"map":{}})",
                                 R"({"word":"a","point":[1,-1],"map":{"7":"v"}})",
                                 R"({"word":"b","point":[2,-2],"map":{"7":"v","6":"v"}})"});
}

TEST_CASE("parquet rows: NaN and binary values are null, the latter with a notice; infinity is refused") {
  const temporary_directory folder;
  arrow::DoubleBuilder numbers;
  require_ok(numbers.AppendValues({std::nan(""), 1, std::numeric_limits<double>::infinity(), 2}));
  arrow::BinaryBuilder images;
  for (int i = 0; i < 4; ++i) require_ok(images.Append("\x89PNG"));
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("margin", arrow::float64()), arrow::field("image", arrow::binary())}),
      {require_value(numbers.Finish()), require_value(images.Finish())});
  write_table(folder / "a.parquet", *table);
  const heard_notices heard;
  jsonl_reader reader(folder / "a.parquet");
  json value;
  REQUIRE(reader.next(value));
  CHECK(value.dump() == R"({"margin":null,"image":null})");
  CHECK(reader.text() == R"({"margin":null,"image":null})");
  REQUIRE(reader.next(value));
  CHECK_THROWS_WITH(reader.next(value), ContainsSubstring("row 3: column \"margin\" is infinite"));
  REQUIRE(reader.recover());
  REQUIRE(reader.next(value));
  CHECK(value.dump() == R"({"margin":2.0,"image":null})");
  CHECK(reader.place() == "row 4");
  CHECK_FALSE(reader.next(value));
  CHECK(reader.count() == 4);
  CHECK(heard.lines().size() == 1);
  CHECK_THAT(heard.text(), ContainsSubstring("column \"image\" holds binary data, which is read as null"));
}

TEST_CASE("parquet rows: chosen columns are decoded only") {
  const temporary_directory folder;
  write_parquet(folder / "a.parquet", R"({"a":1,"m":[{"role":"user","content":"x"}],"b.c":2,"d":{"e":3}})"
                                      "\n");
  jsonl_reader reader(folder / "a.parquet", {},
                      {{"prompt", "m.0.content"}, {"x", "b.c"}, {"y", "d.e"}, {"z", "none?"}});
  json value;
  REQUIRE(reader.next(value));
  CHECK(value.dump() == R"({"prompt":"x","x":2,"y":3})");
  CHECK(reader.text() == R"({"m":[{"role":"user","content":"x"}],"b.c":2,"d":{"e":3}})");
  CHECK(reader.with_columns(json::parse(reader.text())) == value);
}

TEST_CASE("parquet rows: a row group larger than the memory that reading takes") {
  const temporary_directory folder;
  arrow::StringBuilder texts;
  for (int i = 0; i < 128; ++i) require_ok(texts.Append(std::string(1 << 20, static_cast<char>('a' + i % 26))));
  write_table(
      folder / "a.parquet",
      *arrow::Table::Make(arrow::schema({arrow::field("text", arrow::utf8())}), {require_value(texts.Finish())}),
      {.compression = parquet::Compression::UNCOMPRESSED, .page_bytes = 1 << 18});
  texts.Reset();
  const auto* pool = arrow::system_memory_pool();
  const auto before = pool->bytes_allocated();
  std::int64_t most = 0;
  jsonl_reader reader(folder / "a.parquet");
  for (json value; reader.next(value);) most = std::max(most, pool->bytes_allocated() - before);
  CHECK(reader.count() == 128);
  CHECK(most < std::int64_t{48} << 20);
}

#endif
