#include "jsonl/unpacked_file.hpp"

#include <array>
#include <string>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "jsonl/jsonl.hpp"
#include "support/catch.hpp"
#include "support/packed_files.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;

namespace {

// The content, in reads of at most `step` bytes, and the fault after a line break if there is one.
std::string unpack(const temporary_directory& folder, const std::string& bytes, std::size_t step = 1 << 16) {
  write_bytes(folder / "file", bytes);
  unpacked_file file(folder / "file");
  std::string out, buffer(step, '\0');
  while (const auto got = file.read(buffer)) out.append(buffer, 0, got);
  return file.fault().empty() ? out : out + "\n" + file.fault();
}

// Text that packs badly, so that streams are longer than the buffers.
std::string long_text() {
  std::string out;
  std::uint32_t x = 1;
  while (out.size() < 300'000) {
    x = x * 1664525 + 1013904223;
    out += static_cast<char>('a' + (x >> 24) % 26);
  }
  return out;
}

// A frame that readers skip: its number, its size and its content.
std::string skippable_frame() { return std::string("\x5A\x2A\x4D\x18\x03\0\0\0abc", 11); }

}  // namespace

TEST_CASE("unpacked file: plain, gzip and zstd give the same bytes, in reads of any size") {
  const temporary_directory folder;
  const auto text = long_text();
  for (const std::size_t step : {std::size_t{1} << 16, std::size_t{1} << 20, std::size_t{977}}) {
    CHECK(unpack(folder, text, step) == text);
    CHECK(unpack(folder, pack_gzip(text), step) == text);
    CHECK(unpack(folder, pack_zstd(text), step) == text);
  }
  CHECK(unpack(folder, "").empty());
  CHECK(unpack(folder, pack_zstd("")).empty());
  CHECK(unpack(folder, pack_gzip("")).empty());
}

TEST_CASE("unpacked file: members and frames one after the other are one text, and padding is none") {
  const temporary_directory folder;
  CHECK(unpack(folder, pack_zstd("ab") + pack_zstd("") + pack_zstd("cd")) == "abcd");
  CHECK(unpack(folder, skippable_frame() + pack_zstd("ab") + skippable_frame()) == "ab");
  CHECK(unpack(folder, pack_gzip("ab") + pack_gzip("") + pack_gzip("cd")) == "abcd");
  CHECK(unpack(folder, pack_gzip("ab") + std::string(600, '\0')) == "ab");
}

TEST_CASE("unpacked file: a stream that is cut off or damaged is a fault after what was readable") {
  const temporary_directory folder;
  const auto zstd = pack_zstd(long_text()), gzip = pack_gzip(long_text());
  const auto says = [&](const std::string& bytes) {
    const auto out = unpack(folder, bytes);
    return out.substr(out.find('\n') + 1);
  };
  for (const std::size_t size : {std::size_t{5}, zstd.size() / 2, zstd.size() - 1})
    CHECK(says(zstd.substr(0, size)) == "the zstd stream is cut off");
  CHECK(says(zstd + zstd.substr(0, 100)) == "the zstd stream is cut off");
  CHECK(says(zstd + "and more").starts_with("the zstd stream is damaged: "));
  auto flipped = zstd;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  CHECK(says(flipped) == "the zstd stream is damaged: Restored data doesn't match checksum");
  for (const std::size_t size : {std::size_t{5}, gzip.size() / 2, gzip.size() - 1})
    CHECK(says(gzip.substr(0, size)) == "the gzip stream is cut off");
  CHECK(says(gzip + "and more") == "the gzip stream is damaged: something else follows it");
  flipped = gzip;
  flipped[flipped.size() - 5] = static_cast<char>(flipped[flipped.size() - 5] ^ 1);
  CHECK(says(flipped) == "the gzip stream is damaged: incorrect data check");
}

TEST_CASE("unpacked file: only plain files can be read again at an offset") {
  const temporary_directory folder;
  const auto can_reread = [&](const std::string& bytes) {
    write_bytes(folder / "file", bytes);
    return unpacked_file(folder / "file").can_reread();
  };
  CHECK(can_reread("text"));
  CHECK_FALSE(can_reread(pack_gzip("text")));
  CHECK_FALSE(can_reread(pack_zstd("text")));
  CHECK_FALSE(unpacked_file("/dev/null").can_reread());
  CHECK_THROWS_AS(unpacked_file(folder.path()), coho::file_error);
  CHECK_THROWS_AS(unpacked_file(folder / "absent"), coho::file_error);
}

TEST_CASE("jsonl: a folder is read as its files, in the order of their names") {
  const temporary_directory folder;
  write_bytes(folder / "part-2.jsonl", "{\"i\":4}\n");
  write_bytes(folder / "part-0.jsonl.zst", pack_zstd("{\"i\":0}\n") + pack_zstd("{\"i\":1}\n"));
  write_bytes(folder / "part-1.json.gz", pack_gzip("[{\"i\":2},\n{\"i\":3}]"));
  write_bytes(folder / "part-3.jsonl", "");
  write_bytes(folder / "README.md", "not data");
  jsonl_reader reader(folder.path());
  CHECK_FALSE(reader.can_reread());
  std::string seen, places;
  for (json value; reader.next(value);) {
    seen += value.dump();
    places += reader.place() + "\n";
  }
  CHECK(seen == R"({"i":0}{"i":1}{"i":2}{"i":3}{"i":4})");
  CHECK(places ==
        "part-0.jsonl.zst, line 1\npart-0.jsonl.zst, line 2\npart-1.json.gz, line 1, item 1\n"
        "part-1.json.gz, line 2, item 2\npart-2.jsonl, line 1\n");
  CHECK(reader.count() == 5);
  CHECK(reader.path() == folder.path());
}
