#include "observe/tensorboard.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <unistd.h>
#include <vector>

#include <coho/error.hpp>

namespace coho::trainer {

namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0x82F63B78u : 0u);
    table[i] = c;
  }
  return table;
}
constexpr auto crc_table = make_crc_table();

// The few parts of protobuf's wire format that events need.
struct message {
  std::string bytes;

  message& varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
    bytes += static_cast<char>(value);
    return *this;
  }
  message& key(unsigned field, unsigned wire_type) { return varint((field << 3) | wire_type); }
  template <class Value>
  message& raw(const Value& value) {
    static_assert(std::endian::native == std::endian::little);
    char buffer[sizeof value];
    std::memcpy(buffer, &value, sizeof value);
    bytes.append(buffer, sizeof value);
    return *this;
  }
  message& number(unsigned field, std::uint64_t value) { return key(field, 0).varint(value); }
  message& real(unsigned field, double value) { return key(field, 1).raw(value); }
  message& single(unsigned field, float value) { return key(field, 5).raw(value); }
  message& part(unsigned field, std::string_view content) {
    key(field, 2).varint(content.size());
    bytes += content;
    return *this;
  }
  message& reals(unsigned field, const std::vector<double>& values) {
    message packed;
    for (const double value : values) packed.raw(value);
    return part(field, packed.bytes);
  }
};

std::string frame(const message& event) {
  message length;
  length.raw(std::uint64_t{event.bytes.size()});
  message out;
  out.bytes = length.bytes;
  out.raw(masked_crc32c(length.bytes));
  out.bytes += event.bytes;
  out.raw(masked_crc32c(event.bytes));
  return out.bytes;
}

std::string summary_event(double wall_time, std::int64_t step, const message& value) {
  message event, summary;
  event.real(1, wall_time);
  if (step != 0) event.number(2, static_cast<std::uint64_t>(step));
  summary.part(1, value.bytes);
  return frame(event.part(5, summary.bytes));
}

// The seconds in the name of a folder's last event file, or -1. Files are read in name order, and one started within
// the same second must not come before the file that it continues.
long long newest_file(const std::filesystem::path& folder) {
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

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace

std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t c = ~0u;
  for (const char b : bytes) c = crc_table[(c ^ static_cast<unsigned char>(b)) & 0xFF] ^ (c >> 8);
  return ~c;
}

std::uint32_t masked_crc32c(std::string_view bytes) noexcept {
  const auto c = crc32c(bytes);
  return ((c >> 15) | (c << 17)) + 0xA282EAD8u;
}

std::string event_record::version(double wall_time) {
  message event;
  return frame(event.real(1, wall_time).part(3, "brain.Event:2"));
}

std::string event_record::session_start(double wall_time, std::int64_t step) {
  constexpr unsigned start = 1;
  message event, session;
  event.real(1, wall_time);
  if (step != 0) event.number(2, static_cast<std::uint64_t>(step));
  return frame(event.part(7, session.number(1, start).bytes));
}

std::string event_record::scalar(double wall_time, std::int64_t step, std::string_view tag, float value) {
  message entry;
  return summary_event(wall_time, step, entry.part(1, tag).single(2, value));
}

std::string event_record::text(double wall_time, std::int64_t step, std::string_view tag, std::string_view markdown) {
  constexpr unsigned string_type = 7;
  message dimension, shape, tensor, plugin, metadata, entry;
  dimension.number(1, 1);
  shape.part(2, dimension.bytes);
  tensor.number(1, string_type).part(2, shape.bytes).part(8, markdown);
  plugin.part(1, "text");
  metadata.part(1, plugin.bytes);
  return summary_event(wall_time, step, entry.part(1, tag).part(8, tensor.bytes).part(9, metadata.bytes));
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
  message histogram, entry;
  histogram.real(1, low).real(2, high).real(3, static_cast<double>(values.size())).real(4, sum).real(5, squares);
  histogram.reals(6, limits).reals(7, counts);
  return summary_event(wall_time, step, entry.part(1, tag).part(5, histogram.bytes));
}

tensorboard_writer::tensorboard_writer(const std::filesystem::path& folder, std::optional<std::int64_t> resume_from) {
  static std::atomic<unsigned> files{0};
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) throw file_error(folder.string(), "", "cannot be created: " + failure.message());
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%010lld", std::max(static_cast<long long>(now()), newest_file(folder) + 1));
  // "x": never reuses an existing file, for example of a process with the same number on another machine.
  do {
    path_ = folder / ("events.out.tfevents." + std::string(seconds) + "." + host + "." + std::to_string(::getpid()) +
                      "." + std::to_string(files++));
    file_ = std::fopen(path_.c_str(), "wbxe");
  } while (file_ == nullptr && errno == EEXIST);
  if (file_ == nullptr) throw file_error(path_.string(), "", std::string("cannot be written: ") + std::strerror(errno));
  append(event_record::version(now()));
  if (resume_from) append(event_record::session_start(now(), *resume_from));
  flush();
}

tensorboard_writer::~tensorboard_writer() {
  if (file_ != nullptr) std::fclose(file_);
}

void tensorboard_writer::append(std::string_view record) {
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size()) {
    throw file_error(path_.string(), "", std::string("cannot be written: ") + std::strerror(errno));
  }
  if (now() - last_flush_ > 5) flush();
}

void tensorboard_writer::flush() {
  last_flush_ = now();
  if (std::fflush(file_) != 0)
    throw file_error(path_.string(), "", std::string("cannot be written: ") + std::strerror(errno));
}

void tensorboard_writer::scalar(std::string_view tag, std::int64_t step, double value) {
  append(event_record::scalar(now(), step, tag, static_cast<float>(value)));
}

void tensorboard_writer::text(std::string_view tag, std::int64_t step, std::string_view markdown) {
  append(event_record::text(now(), step, tag, markdown));
}

void tensorboard_writer::histogram(std::string_view tag, std::int64_t step, std::span<const double> values) {
  std::vector<double> finite;
  std::ranges::copy_if(values, std::back_inserter(finite), [](double value) { return std::isfinite(value); });
  if (!finite.empty()) append(event_record::histogram(now(), step, tag, finite));
}

}  // namespace coho::trainer
