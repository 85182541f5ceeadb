#include "jsonl/jsonl.hpp"

#include <algorithm>
#include <fstream>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <zlib.h>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/read_file.hpp"
#include "observe/process_usage.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

struct temporary {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("coho_jsonl_" + std::to_string(::getpid()) + ".jsonl");
  std::filesystem::path partial = path.string() + ".partial";
  temporary() { clear(); }
  ~temporary() { clear(); }
  void clear() const {
    std::filesystem::remove(path);
    std::filesystem::remove(partial);
  }
};

std::vector<json> read_all(const std::filesystem::path& path) {
  std::vector<json> out;
  jsonl_reader reader(path);
  for (json value; reader.next(value);) out.push_back(value);
  return out;
}

std::string error_of(const std::filesystem::path& path, const std::string& content) {
  write_file(path, content);
  try {
    read_all(path);
  } catch (const coho::file_error& e) {
    return std::string(e.what()).substr(path.string().size() + 2);
  }
  return "no error";
}

std::string gzip(const std::filesystem::path& path, const std::string& content) {
  auto* file = ::gzopen(path.c_str(), "wb");
  ::gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  ::gzclose(file);
  return read_file(path);
}

}  // namespace

TEST_CASE("lines and arrays give the same values") {
  const temporary t;
  const std::vector<json> expected{json{{"a", 1}}, json("te\"xt, ]"), json::parse("[1,[2]]"), json{{"b", "}{"}}};
  write_file(t.path, "\xEF\xBB\xBF\n{\"a\":1}\r\n\n\"te\\\"xt, ]\"\n[1,[2]]\n  {\"b\":\"}{\"}");
  CHECK(read_all(t.path) == expected);
  write_file(t.path, " [ {\"a\":1},\n\"te\\\"xt, ]\",[1,[2]]\n, {\"b\":\"}{\"} ]\n\n");
  CHECK(read_all(t.path) == expected);
  write_file(t.path, "[]");
  CHECK(read_all(t.path).empty());
  write_file(t.path, "");
  CHECK(read_all(t.path).empty());
  gzip(t.path, "{\"a\":1}\n\"x\"\n");
  CHECK(read_all(t.path).size() == 2);
}

TEST_CASE("a bad file is refused at its line") {
  const temporary t;
  CHECK(error_of(t.path, "{\"a\":1}\n{\"a\":}\n") == "line 2: is not JSON at character 6");
  CHECK_THAT(error_of(t.path, "{\"a\":1}\n{\"a\":"), ContainsSubstring("line 2: the JSON value is cut off"));
  CHECK_THAT(error_of(t.path, "not json"), ContainsSubstring("line 1: is not JSON"));
  CHECK_THAT(error_of(t.path, "{}\n\"\xC3(\"\n"), ContainsSubstring("line 2: byte 2 of the record is not UTF-8"));
  CHECK_THAT(error_of(t.path, "[{},\n{}"), ContainsSubstring("line 2, item 2: the file ends inside the array"));
  CHECK_THAT(error_of(t.path, "[{},\n{]}]"), ContainsSubstring("line 2, item 2: "));
  CHECK_THAT(error_of(t.path, "[{},]"), ContainsSubstring("item 2"));
  CHECK_THAT(error_of(t.path, "[{}] {}"), ContainsSubstring("text follows the end of the array"));
  CHECK_THAT(error_of(t.path, "[1]\n[2]"), ContainsSubstring("text follows the end of the array"));
  CHECK_THAT(error_of(t.path, "{}\n\"" + std::string(max_record_bytes, 'x') + "\"\n"),
             ContainsSubstring("line 2: the record is longer than 10 MB"));
  const auto whole = gzip(t.path, "{\"a\":1}\n" + std::string(5000, ' ') + "{\"a\":2}\n");
  CHECK_THAT(error_of(t.path, whole.substr(0, whole.size() - 9)), ContainsSubstring("gzip stream is cut off"));
  CHECK_THROWS_AS(jsonl_reader("/nonexistent.jsonl"), coho::file_error);
  const coho::test::temporary_directory empty;
  CHECK_THROWS_AS(jsonl_reader(empty.path()), coho::file_error);
}

TEST_CASE("a file larger than the memory that reading takes") {
  const temporary t;
  {
    std::ofstream out(t.path, std::ios::binary);
    const std::string line = "{\"text\":\"" + std::string(1 << 20, 'x') + "\"}\n";
    for (int i = 0; i < 64; ++i) out << line;
  }
  const auto before = peak_rss_bytes();
  jsonl_reader reader(t.path);
  for (json value; reader.next(value);) CHECK(value["text"].get_ref<const std::string&>().size() == 1 << 20);
  CHECK(reader.count() == 64);
  CHECK(peak_rss_bytes() < before + (std::size_t{32} << 20));
}

TEST_CASE("a written file has its name only when it is finished") {
  const temporary t;
  {
    jsonl_writer out(t.path, false);
    out.write(json{{"a", 1}});
    out.write(json{{"b", "\xFF"}});
    CHECK_FALSE(std::filesystem::exists(t.path));
    CHECK(read_file(t.partial) == "{\"a\":1}\n{\"b\":\"�\"}\n");
    out.finish();
    CHECK_THROWS_AS(out.write(json()), coho::file_error);
  }
  CHECK(read_all(t.path).size() == 2);
  CHECK_FALSE(std::filesystem::exists(t.partial));
  jsonl_writer again(t.path, true);
  CHECK(again.finished());
  CHECK(again.count() == 2);
}

TEST_CASE("a run that never wrote leaves nothing behind") {
  const temporary t;
  { jsonl_writer out(t.path, false); }
  CHECK_FALSE(std::filesystem::exists(t.partial));
  CHECK_FALSE(std::filesystem::exists(t.path));
}

TEST_CASE("a resumed run gives the bytes of an unbroken one, wherever the kill came") {
  const temporary t;
  const auto make = [](std::size_t i) { return json{{"i", i}, {"text", std::string(i % 7, 'x') + "é"}}; };
  std::string whole;
  {
    jsonl_writer out(t.path, false);
    for (std::size_t i = 0; i < 20; ++i) out.write(make(i));
    out.finish();
    whole = read_file(t.path);
  }
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    t.clear();
    write_file(t.partial, whole.substr(0, cut));
    jsonl_writer out(t.path, true);
    CHECK(out.count() ==
          static_cast<std::size_t>(std::count(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut), '\n')));
    for (std::size_t i = out.count(); i < 20; ++i) out.write(make(i));
    out.finish();
    REQUIRE(read_file(t.path) == whole);
  }
}

TEST_CASE("without resume an old journal is replaced") {
  const temporary t;
  write_file(t.partial, "{\"old\":1}\n");
  jsonl_writer out(t.path, false);
  CHECK(out.count() == 0);
  out.write(json(1));
  out.finish();
  CHECK(read_file(t.path) == "1\n");
}

TEST_CASE("real files stream") {
  const auto data = coho::test::shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  CHECK(read_all(*data / "hh_rlhf" / "harmless-base_test.jsonl.gz").size() == 2312);
  CHECK(read_all(*data / "preferences" / "dpo_en_demo.json").size() == 300);
  CHECK(read_all(*data / "prompts" / "prompt_lottery_en_250_text.jsonl").size() == 250);
}

TEST_CASE("one object over many lines is a file of one value") {
  const temporary t;
  write_file(t.path, "{ \r\n  \"a\": 1,\n  \"b\": {\n  }\n}\n");
  CHECK(read_all(t.path) == std::vector<json>{json::parse(R"({"a":1,"b":{}})")});
  CHECK_THAT(error_of(t.path, "{\n  \"a\": 1\n"), ContainsSubstring("line 1: the JSON value is cut off"));
  CHECK_THAT(error_of(t.path, "{\n  \"a\": 1\n}\n{}\n"), ContainsSubstring("line 1: is not JSON"));
}

TEST_CASE("a reader that mends text goes on where another refuses") {
  const temporary t;
  write_file(t.path, "{\"a\":\"x\xFFy\"}\n{\"a\":\"\\ud83d\"}\n{\"a\":\"\\ud83d\\ude00\"}\n");
  CHECK_THROWS_AS(read_all(t.path), coho::file_error);
  std::vector<std::string> texts;
  jsonl_reader reader(t.path, {.on_bad_text = bad_text::replace});
  for (json value; reader.next(value);) texts.push_back(value.at("a").get<std::string>());
  CHECK(texts == std::vector<std::string>{"x\uFFFDy", "\uFFFD", "😀"});
  write_file(t.path, "{\"a\":\"\\ud83d\"\n");
  jsonl_reader torn(t.path, {.on_bad_text = bad_text::replace});
  json value;
  CHECK_THROWS_AS(torn.next(value), coho::file_error);
}

TEST_CASE("a file that still grows is read up to what is being written") {
  const coho::test::temporary_directory folder;
  const auto path = folder / "grows.jsonl";
  const auto values = [&](const std::string& text, bool growing) {
    write_file(path, text);
    jsonl_reader reader(path, {.growing = growing});
    std::size_t count = 0;
    for (json value; reader.next(value);) ++count;
    CHECK(reader.count() == count);
    return count;
  };
  CHECK(values("{\"a\":1}\n{\"a\":", true) == 1);
  CHECK(values("{\"a\":1}\n{\"a\":\"\xE6\x97", true) == 1);
  CHECK(values("{\"a\":1}\n{\"a\":2}", true) == 2);
  CHECK(values("", true) == 0);
  CHECK_THROWS_AS(values("{\"a\":\n{\"a\":2}\n", true), coho::file_error);
  CHECK_THROWS_AS(values("{\"a\":1}\n{\"a\":", false), coho::file_error);
}

TEST_CASE("a partial file is of a later run than the finished one beside it") {
  const temporary t;
  write_file(t.path, "{\"old\":1}\n{\"old\":2}\n");
  write_file(t.partial, "{\"new\":1}\n");
  {
    jsonl_writer out(t.path, true);
    CHECK_FALSE(out.finished());
    REQUIRE(out.count() == 1);
    out.write(json{{"new", 2}});
    CHECK(read_all(t.path).front().contains("old"));
    out.finish();
  }
  CHECK(read_file(t.path) == "{\"new\":1}\n{\"new\":2}\n");
  // Stopped before its first record: what is there is not what it was to write.
  { jsonl_writer out(t.path, false); }
  CHECK_FALSE(jsonl_writer(t.path, true).finished());
}

TEST_CASE("jsonl: numbers that no double holds and Python's are refused at their line, and passed over when told to") {
  const temporary t;
  CHECK(error_of(t.path, "{\"a\":1}\n{\"a\":[1e999]}\n") ==
        "line 2: the number 1e999 is larger than a double can hold, at character 7; write a smaller one, or null");
  CHECK_THAT(error_of(t.path, "[{},\n{\"a\":-1e999}]"), ContainsSubstring("line 2, item 2: the number -1e999"));
  CHECK_THAT(error_of(t.path, "{}\n{\"a\":NaN}\n"), ContainsSubstring("line 2: NaN is Python's"));
  CHECK_THAT(error_of(t.path, std::string("{}\n{\"a\":1}\0{\"a\":2}\n", 17)),
             ContainsSubstring("line 2: a zero byte is not JSON, at character 8; "));
  CHECK_THAT(error_of(t.path, std::string("[{}\0{}]", 7)), ContainsSubstring("item 1: a zero byte"));
  write_file(t.path, "{\"a\":1}\n{\"a\":1e999}\n{\"a\":Infinity}\n{\"a\":4}\n");
  jsonl_reader reader(t.path);
  std::vector<json> read;
  int faults = 0;
  for (;;) {
    json value;
    try {
      if (!reader.next(value)) break;
      read.push_back(value);
    } catch (const coho::file_error&) {
      ++faults;
      REQUIRE(reader.recover());
    }
  }
  CHECK(faults == 2);
  CHECK(read == std::vector<json>{json{{"a", 1}}, json{{"a", 4}}});
}

TEST_CASE("jsonl: a file of another kind is refused by its name and with the mend, before anything is read") {
  const temporary t;
  const auto refused = [&](const std::string& bytes) {
    write_file(t.path, bytes);
    try {
      const jsonl_reader reader(t.path);
    } catch (const coho::file_error& problem) {
      CHECK(problem.place().empty());
      return std::string(problem.what());
    }
    return std::string("read");
  };
  CHECK_THAT(refused("PAR1" + std::string(60, '\0') + "PARX"), ContainsSubstring("Parquet file"));
  CHECK_THAT(refused(std::string("\xFD\x37zXZ\0", 6)), ContainsSubstring("is compressed with xz"));
  CHECK_THAT(refused(std::string("\xFF\xFE{\0\"\0", 6)), ContainsSubstring("is text in UTF-16"));
  CHECK_THAT(refused("version https://git-lfs.github.com/spec/v1\n"), ContainsSubstring("git lfs pull"));
  gzip(t.path, "PAR1....");
  CHECK_THROWS_WITH(jsonl_reader(t.path), ContainsSubstring("is a Parquet file"));
  CHECK_THAT(error_of(t.path, "prompt,answer\na,b\n"),
             ContainsSubstring("line 1: seems to be a table of comma-separated values"));
}
