#include "observe/tensorboard.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <unistd.h>
#include <vector>

#include <coho/error.hpp>

#include "files/protobuf.hpp"
#include "observe/crc32c.hpp"

namespace coho::trainer {

namespace {

// A record of TensorFlow's files: the length and its checksum, then the event and its checksum, all little-endian.
std::string frame_record(const protobuf_writer& event) {
  std::string out;
  append_little_endian(out, std::uint64_t{event.content().size()});
  append_little_endian(out, masked_crc32c(out));
  out += event.content();
  append_little_endian(out, masked_crc32c(event.content()));
  return out;
}

// The event of one value of a step: a Summary.Value within a Summary. Step 0 is the default and is not written.
std::string summary_event(double wall_time, std::int64_t step, const protobuf_writer& value) {
  protobuf_writer event, summary;
  event.float64(1, wall_time);
  if (step != 0) event.varint(2, static_cast<std::uint64_t>(step));
  summary.bytes(1, value.content());
  return frame_record(event.bytes(5, summary.content()));
}

// The seconds in the name of a folder's last event file, or -1. Files are read in name order, and one started within
// the same second must not come before the file that it continues.
long long newest_file_seconds(const std::filesystem::path& folder) {
  constexpr std::string_view prefix = "events.out.tfevents.";
  long long newest = -1;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    long long seconds = -1;
    const char* const digits = name.c_str() + prefix.size();
    if (std::from_chars(digits, name.c_str() + name.size(), seconds).ec == std::errc())
      newest = std::max(newest, seconds);
  }
  return newest;
}

double wall_time_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string event_record::version(double wall_time) {
  protobuf_writer event;
  return frame_record(event.float64(1, wall_time).bytes(3, "brain.Event:2"));
}

std::string event_record::session_start(double wall_time, std::int64_t step) {
  constexpr unsigned start = 1;
  protobuf_writer event, session;
  event.float64(1, wall_time);
  if (step != 0) event.varint(2, static_cast<std::uint64_t>(step));
  return frame_record(event.bytes(7, session.varint(1, start).content()));
}

std::string event_record::scalar(double wall_time, std::int64_t step, std::string_view tag, float value) {
  protobuf_writer entry;
  return summary_event(wall_time, step, entry.bytes(1, tag).float32(2, value));
}

std::string event_record::text(double wall_time, std::int64_t step, std::string_view tag, std::string_view markdown) {
  constexpr unsigned string_type = 7;
  protobuf_writer dimension, shape, tensor, plugin, metadata, entry;
  dimension.varint(1, 1);
  shape.bytes(2, dimension.content());
  tensor.varint(1, string_type).bytes(2, shape.content()).bytes(8, markdown);
  plugin.bytes(1, "text");
  metadata.bytes(1, plugin.content());
  return summary_event(wall_time, step, entry.bytes(1, tag).bytes(8, tensor.content()).bytes(9, metadata.content()));
}

std::string event_record::histogram(double wall_time, std::int64_t step, std::string_view tag,
                                    std::span<const double> values) {
  constexpr std::size_t buckets = 30;
  const auto [low, high] = std::ranges::minmax(values);
  double sum = 0, squares = 0;
  const std::size_t used = low < high ? buckets : 1;
  // Halved first, so that the width of a range as wide as double allows stays finite.
  const double width = (high / 2 - low / 2) / (static_cast<double>(used) / 2);
  std::vector<double> limits(used), counts(used);
  for (std::size_t i = 0; i < used; ++i) limits[i] = i + 1 == used ? high : low + width * static_cast<double>(i + 1);
  for (const double value : values) {
    sum += value;
    squares += value * value;
    const auto bucket = std::ranges::lower_bound(limits, value) - limits.begin();
    counts[std::min(static_cast<std::size_t>(bucket), used - 1)] += 1;
  }
  protobuf_writer histogram, entry;
  histogram.float64(1, low)
      .float64(2, high)
      .float64(3, static_cast<double>(values.size()))
      .float64(4, sum)
      .float64(5, squares);
  histogram.packed_float64(6, limits).packed_float64(7, counts);
  return summary_event(wall_time, step, entry.bytes(1, tag).bytes(5, histogram.content()));
}

tensorboard_writer::tensorboard_writer(const std::filesystem::path& folder, std::optional<std::int64_t> resume_from) {
  static std::atomic<unsigned> files{0};  // tells the files of one process apart
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) throw file_error(folder.string(), "", "cannot be created: " + failure.message());
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%010lld",
                std::max(static_cast<long long>(wall_time_now()), newest_file_seconds(folder) + 1));
  // "x": never reuses an existing file, for example of a process with the same number on another machine.
  do {
    path_ = folder / ("events.out.tfevents." + std::string(seconds) + "." + host + "." + std::to_string(::getpid()) +
                      "." + std::to_string(files++));
    file_ = std::fopen(path_.c_str(), "wbxe");
  } while (file_ == nullptr && errno == EEXIST);
  if (file_ == nullptr) throw file_error(path_.string(), "", std::string("cannot be written: ") + std::strerror(errno));
  append(event_record::version(wall_time_now()));
  if (resume_from) append(event_record::session_start(wall_time_now(), *resume_from));
  flush();
}

tensorboard_writer::~tensorboard_writer() {
  if (file_ != nullptr) std::fclose(file_);
}

void tensorboard_writer::append(std::string_view record) {
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size()) {
    throw file_error(path_.string(), "", std::string("cannot be written: ") + std::strerror(errno));
  }
  // Often enough to watch a run, seldom enough not to slow it.
  if (wall_time_now() - last_flush_ > 5) flush();
}

void tensorboard_writer::flush() {
  last_flush_ = wall_time_now();
  if (std::fflush(file_) != 0)
    throw file_error(path_.string(), "", std::string("cannot be written: ") + std::strerror(errno));
}

void tensorboard_writer::add_scalar(std::string_view tag, std::int64_t step, double value) {
  append(event_record::scalar(wall_time_now(), step, tag, static_cast<float>(value)));
}

void tensorboard_writer::add_text(std::string_view tag, std::int64_t step, std::string_view markdown) {
  append(event_record::text(wall_time_now(), step, tag, markdown));
}

void tensorboard_writer::add_histogram(std::string_view tag, std::int64_t step, std::span<const double> values) {
  std::vector<double> finite;
  std::ranges::copy_if(values, std::back_inserter(finite), [](double value) { return std::isfinite(value); });
  if (!finite.empty()) append(event_record::histogram(wall_time_now(), step, tag, finite));
}

}  // namespace coho::trainer
