#include "observe/tensorboard.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <unistd.h>
#include <vector>

#include <coho/error.hpp>

#include "files/read_file.hpp"
#include "observe/crc32c.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;

namespace {

std::string hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) out += {digits[static_cast<unsigned char>(c) >> 4], digits[c & 15]};
  return out;
}

// The payloads of a file's records; every length and checksum is verified on the way.
std::vector<std::string> records_of(const std::string& file) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < file.size();) {
    REQUIRE(file.size() - at >= 16);
    std::uint64_t length = 0;
    std::uint32_t check = 0;
    std::memcpy(&length, file.data() + at, 8);
    std::memcpy(&check, file.data() + at + 8, 4);
    CHECK(check == masked_crc32c(std::string_view(file).substr(at, 8)));
    REQUIRE(file.size() - at >= 16 + length);
    out.push_back(file.substr(at + 12, length));
    std::memcpy(&check, file.data() + at + 12 + length, 4);
    CHECK(check == masked_crc32c(out.back()));
    at += 16 + length;
  }
  return out;
}

double real_at(const std::string& bytes, std::size_t at) {
  double value = 0;
  std::memcpy(&value, bytes.data() + at, 8);
  return value;
}

}  // namespace

TEST_CASE("event records have the bytes that TensorBoard's own writer gives") {
  CHECK(hex(event_record::version(1.0)) ==
        "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a");
  CHECK(hex(event_record::scalar(1.0, 7, "loss", 0.5f)) ==
        "1a00000000000000129bd82d09000000000000f03f10072a0d0a0b0a046c6f7373150000003f862c9a2f");
}

TEST_CASE("a text event holds a string tensor of the text plugin") {
  const auto event = records_of(event_record::text(1.0, 1, "samples", "hi"))[0];
  // value: tag; tensor {dtype 7, shape {dim {size 1}}, string_val "hi"}; metadata {plugin_data {plugin_name "text"}}
  CHECK(hex(event).find("420c"
                        "0807"
                        "1204"
                        "12020801"
                        "42026869") != std::string::npos);
  CHECK(hex(event).find("4a08"
                        "0a06"
                        "0a0474657874") != std::string::npos);
}

TEST_CASE("a histogram counts every value once within its limits") {
  const std::vector<double> values{-1, 0, 0, 0.5, 2};
  const auto event = records_of(event_record::histogram(1.0, 1, "h", values))[0];
  const auto begin = event.find(std::string("\x09", 1), 20);
  REQUIRE(begin != std::string::npos);
  CHECK(real_at(event, begin + 1) == -1);
  CHECK(real_at(event, begin + 10) == 2);
  CHECK(real_at(event, begin + 19) == 5);
  CHECK(real_at(event, begin + 28) == 1.5);
  CHECK(real_at(event, begin + 37) == 5.25);
  // bucket_limit: key 0x32, length 240 (two bytes), thirty doubles; then bucket: key 0x3a likewise.
  double last = 0, total = 0;
  for (std::size_t i = 0; i < 30; ++i)
    last = real_at(event, begin + 48 + 8 * i), total += real_at(event, begin + 48 + 243 + 8 * i);
  CHECK(last == 2);
  CHECK(total == 5);
  // One value: one bucket.
  CHECK(records_of(event_record::histogram(1.0, 1, "h", std::vector<double>{3, 3}))[0].size() < 90);
}

TEST_CASE("each writer starts a file of its own with a version record") {
  const auto folder = std::filesystem::temp_directory_path() / ("coho_board_" + std::to_string(::getpid()));
  std::filesystem::path first, second;
  {
    tensorboard_writer a(folder), b(folder);
    first = a.path(), second = b.path();
    a.add_scalar("loss", 0, 1);
    a.add_text("sample", 1, "**hello**");
    a.add_histogram("kl", 1, std::vector<double>{0, 1, std::numeric_limits<double>::quiet_NaN()});
    a.add_histogram("empty", 1, std::vector<double>{std::numeric_limits<double>::infinity()});
    a.flush();
    CHECK(records_of(read_file(first)).size() == 4);
  }
  CHECK(first != second);
  CHECK(first.filename().string().starts_with("events.out.tfevents."));
  CHECK(records_of(read_file(second)).size() == 1);
  CHECK(records_of(read_file(second))[0].find("brain.Event:2") != std::string::npos);
  std::filesystem::remove_all(folder);
  CHECK_THROWS_AS(tensorboard_writer("/dev/null/x"), coho::file_error);
}

TEST_CASE("a resumed run's event file begins with the start of its session, after those before it") {
  // wall_time 1.0, step 20, session_log {status START}
  CHECK(hex(records_of(event_record::session_start(1.0, 20))[0]) == "09000000000000f03f10143a020801");
  CHECK(hex(records_of(event_record::session_start(1.0, 0))[0]) == "09000000000000f03f3a020801");
  const auto folder = std::filesystem::temp_directory_path() / ("coho_session_" + std::to_string(::getpid()));
  std::vector<std::string> names;
  for (int run = 0; run < 3; ++run) {
    const tensorboard_writer board(folder, run == 0 ? std::nullopt : std::optional<std::int64_t>(20 * run));
    names.push_back(board.path().filename().string());
    const auto records = records_of(read_file(board.path()));
    REQUIRE(records.size() == (run == 0 ? 1u : 2u));
    if (run > 0) CHECK(hex(records[1]).ends_with("3a020801"));
  }
  // Read in the order of their names, also where all were begun within one second.
  CHECK(std::ranges::is_sorted(names));
  std::filesystem::remove_all(folder);
}
