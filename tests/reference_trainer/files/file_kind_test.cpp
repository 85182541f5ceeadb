#include "files/file_kind.hpp"

#include <string>
#include <string_view>

#include <coho/error.hpp>

#include "files/read_file.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"

using namespace coho::trainer;
using namespace std::string_view_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr auto git_lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 13476839424\n"sv;

std::string kind_of_bytes(std::string_view bytes, file_use use = file_use::records) {
  const auto kind = recognise_file(bytes, use);
  return kind ? kind->what + "; " + kind->mend : std::string("unknown");
}

}  // namespace

TEST_CASE("file kind: a Git LFS pointer is named in every role, with the size that it stands for") {
  for (const auto use : {file_use::records, file_use::document, file_use::weights, file_use::tokenizer, file_use::text})
    CHECK(kind_of_bytes(git_lfs, use) ==
          "is a Git LFS pointer to 13476839424 bytes; fetch them with `git lfs pull`, or download it");
}

TEST_CASE("file kind: forms are known by their first bytes") {
  const struct {
    std::string_view bytes, says;
  } forms[] = {
      {"PAR1\x15\x04"sv, "Parquet"},
      {"ARROW1\0\0"sv, "Arrow file"},
      {"\xFF\xFF\xFF\xFF\x10\0\0\0"sv, "Arrow stream"},
      {"FEA1"sv, "Feather"},
      {"PK\x03\x04\x14"sv, "zip archive"},
      {"\x28\xB5\x2F\xFD\x04"sv, "zstd"},
      {"\xFD\x37zXZ\0"sv, "xz"},
      {"BZh91AY&SY"sv, "bzip2"},
      {"\x1F\x8B\x08"sv, "gzip"},
      {"\x80\x02\x8A\x0Al\xFC"sv, "pickle"},
      {"\x80\x05\x95"sv, "pickle"},
      {"GGUF\x03"sv, "GGUF"},
      {"\x93NUMPY"sv, "NumPy"},
      {"SQLite format 3\0"sv, "SQLite"},
      {"\xFF\xFE{\0\"\0"sv, "UTF-16"},
      {"\xFE\xFF\0{\0\""sv, "UTF-16"},
      {"{\0\"\0a\0"sv, "UTF-16"},
      {"\0{\0\"\0a"sv, "UTF-16"},
      {"\xFF\xFE\0\0{\0\0\0"sv, "UTF-32"},
      {"\0\0\xFE\xFF\0\0\0{"sv, "UTF-32"},
      {"{\0\0\0\"\0\0\0"sv, "UTF-32"},
      {"\n <!DOCTYPE html><html>"sv, "web page"},
      {"<HTML lang=en>"sv, "web page"},
  };
  for (const auto& [bytes, says] : forms) {
    CHECK_THAT(kind_of_bytes(bytes), ContainsSubstring(std::string(says)));
    const auto kind = recognise_file(bytes, file_use::document);
    REQUIRE(kind.has_value());
    CHECK(kind->what.starts_with("is "));
    CHECK_FALSE(kind->mend.empty());
  }
  std::string tar(512, '\0');
  tar.replace(0, 10, "data.jsonl").replace(257, 5, "ustar");
  CHECK_THAT(kind_of_bytes(tar), ContainsSubstring("tar archive"));
}

TEST_CASE("file kind: the mend depends on what was wanted") {
  CHECK_THAT(kind_of_bytes("PAR1"), ContainsSubstring("unpack it"));
  CHECK_THAT(kind_of_bytes("PAR1", file_use::document), ContainsSubstring("export it as JSON"));
  CHECK_THAT(kind_of_bytes("PARE"), ContainsSubstring("without encryption"));
  CHECK_THAT(kind_of_bytes("PK\x03\x04", file_use::weights), ContainsSubstring("safe_serialization"));
  CHECK_THAT(kind_of_bytes("PK\x03\x04"), ContainsSubstring("unpack it"));
  CHECK_THAT(kind_of_bytes("{\"a\": 1}", file_use::tokenizer), ContainsSubstring("JSON tokenizer"));
  CHECK_THAT(kind_of_bytes("IQ== 0\nIg== 1\n", file_use::tokenizer), ContainsSubstring("tiktoken"));
  CHECK_THAT(kind_of_bytes("GGUF", file_use::weights), ContainsSubstring("Hugging Face checkpoint"));
  CHECK_THROWS_WITH(refuse_other_kinds("x.jsonl", "ARROW1", file_use::records),
                    ContainsSubstring("x.jsonl: is an Arrow file; export it as JSON Lines"));
}

TEST_CASE("file kind: what was wanted is nothing else") {
  for (const auto text : {"{\"a\":1}\n"sv, "[1, 2]"sv, "\xEF\xBB\xBF{}"sv, "\"a string\"\n"sv, ""sv, "{"sv, "a,b\n"sv})
    CHECK(kind_of_bytes(text) == "unknown");
  CHECK(kind_of_bytes("<html>{Input}</html>", file_use::text) == "unknown");
  const auto base = coho::test::source_dir() / "reference_trainer" / "demo" / "base";
  CHECK(kind_of_bytes(read_file(base / "model.safetensors"), file_use::weights) == "unknown");
  CHECK(kind_of_bytes(read_file(base / "tokenizer.model"), file_use::tokenizer) == "unknown");
  CHECK_THAT(kind_of_bytes(read_file(base / "model.safetensors")), ContainsSubstring("is a safetensors file"));
}

TEST_CASE("file kind: text that is no JSON may be a table") {
  CHECK_THAT(recognise_text("prompt,chosen,rejected\n1,2,3\n")->what, ContainsSubstring("CSV"));
  CHECK_THAT(recognise_text("\"prompt\",\"chosen\"\n")->mend, ContainsSubstring("read_csv"));
  CHECK_THAT(recognise_text("prompt\tchosen")->what, ContainsSubstring("tab-separated"));
  CHECK_THAT(recognise_text("---\nprompt: a")->what, ContainsSubstring("YAML"));
  CHECK_THAT(recognise_text("```json\n{\"a\": 1}\n```\n")->what, ContainsSubstring("Markdown fence"));
  CHECK_FALSE(recognise_text("{\"a\": 1, }"));
  CHECK_FALSE(recognise_text("one word"));
}
