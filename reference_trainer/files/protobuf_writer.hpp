#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace coho::trainer {

/// Writes one protobuf message field by field, without a schema. Each member appends a field of that number and wire
/// type; a message within a message is written as the bytes of its `content`.
///
///     protobuf_writer value;
///     value.bytes(1, "loss").float32(2, 0.5f);
class protobuf_writer {
 public:
  const std::string& content() const noexcept { return content_; }

  /// bool, int32, int64, uint64, enum.
  protobuf_writer& varint(std::uint32_t field, std::uint64_t value) {
    tag(field, 0);
    append_varint(value);
    return *this;
  }
  protobuf_writer& float64(std::uint32_t field, double value) {
    tag(field, 1);
    append_little_endian(value);
    return *this;
  }
  /// string, bytes, a message.
  protobuf_writer& bytes(std::uint32_t field, std::string_view value) {
    tag(field, 2);
    append_varint(value.size());
    content_ += value;
    return *this;
  }
  protobuf_writer& float32(std::uint32_t field, float value) {
    tag(field, 5);
    append_little_endian(value);
    return *this;
  }
  /// A packed list of doubles.
  protobuf_writer& packed_float64(std::uint32_t field, std::span<const double> values) {
    protobuf_writer packed;
    for (const double value : values) packed.append_little_endian(value);
    return bytes(field, packed.content_);
  }

 private:
  void tag(std::uint32_t field, std::uint32_t wire_type) { append_varint((std::uint64_t{field} << 3) | wire_type); }
  // Seven bits per byte, the lowest first; the eighth bit says that more follow.
  void append_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) content_ += static_cast<char>(value | 0x80);
    content_ += static_cast<char>(value);
  }
  template <class Value>
  void append_little_endian(Value value) {
    static_assert(std::endian::native == std::endian::little);
    char buffer[sizeof value];
    std::memcpy(buffer, &value, sizeof value);
    content_.append(buffer, sizeof value);
  }

  std::string content_;
};

}  // namespace coho::trainer
