#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace coho::trainer {

/// Iterates over the fields of one protobuf message without copying. `next` returns false at the end and at a malformed
/// field; `ok` tells which.
///
///     protobuf_reader reader(bytes);
///     while (reader.next()) if (reader.field() == 1) use(reader.bytes());
class protobuf_reader {
 public:
  explicit protobuf_reader(std::string_view message) : rest_(message) {}

  /// Reads the next field; its value is then available. Fields of groups, which no program that writes these files
  /// uses, are malformed.
  bool next() {
    if (!ok_ || rest_.empty()) return false;
    const auto tag = read_varint();
    if (!tag || *tag >> 3 == 0 || *tag >> 3 > 0x1FFFFFFF) return ok_ = false;
    field_ = static_cast<std::uint32_t>(*tag >> 3);
    wire_ = static_cast<unsigned>(*tag & 7);
    number_ = 0;
    bytes_ = {};
    switch (wire_) {
      case 0: {
        const auto value = read_varint();
        if (!value) return ok_ = false;
        number_ = *value;
        return true;
      }
      case 1:
        return read_bytes(8);
      case 2: {
        const auto length = read_varint();
        return length ? read_bytes(*length) : (ok_ = false);
      }
      case 5:
        return read_bytes(4);
      default:
        return ok_ = false;  // no program that writes these files writes groups
    }
  }

  bool ok() const noexcept { return ok_; }
  std::uint32_t field() const noexcept { return field_; }
  bool is_varint() const noexcept { return wire_ == 0; }
  bool is_bytes() const noexcept { return wire_ == 2; }
  bool is_fixed32() const noexcept { return wire_ == 5; }
  /// The value of a varint; 0 for other fields.
  std::uint64_t number() const noexcept { return number_; }
  /// The bytes of a text, message or fixed-size number; empty for a varint.
  std::string_view bytes() const noexcept { return bytes_; }
  /// The value of a float (fixed32); 0 for a field that has not four bytes.
  float real() const noexcept {
    float value = 0;
    if (bytes_.size() == 4) std::memcpy(&value, bytes_.data(), 4);
    return value;
  }

 private:
  /// Nothing if the bytes end within it, or after ten.
  std::optional<std::uint64_t> read_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }

  /// False, with `ok` false, if fewer are left.
  bool read_bytes(std::uint64_t length) {
    if (length > rest_.size()) return ok_ = false;
    bytes_ = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

  std::string_view rest_, bytes_;
  std::uint64_t number_ = 0;
  std::uint32_t field_ = 0;
  unsigned wire_ = 0;
  bool ok_ = true;
};

/// Appends the bytes of a number, lowest first, which is how this machine has them.
template <class Value>
void append_little_endian(std::string& out, Value value) {
  static_assert(std::endian::native == std::endian::little);
  char buffer[sizeof value];
  std::memcpy(buffer, &value, sizeof value);
  out.append(buffer, sizeof value);
}

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
    append_tag(field, 0);
    append_varint(value);
    return *this;
  }
  /// A double, of fixed size (wire type 1).
  protobuf_writer& float64(std::uint32_t field, double value) {
    append_tag(field, 1);
    append_little_endian(content_, value);
    return *this;
  }
  /// string, bytes, a message.
  protobuf_writer& bytes(std::uint32_t field, std::string_view value) {
    append_tag(field, 2);
    append_varint(value.size());
    content_ += value;
    return *this;
  }
  /// A float, of fixed size (wire type 5).
  protobuf_writer& float32(std::uint32_t field, float value) {
    append_tag(field, 5);
    append_little_endian(content_, value);
    return *this;
  }
  /// A packed list of doubles.
  protobuf_writer& packed_float64(std::uint32_t field, std::span<const double> values) {
    protobuf_writer packed;
    for (const double value : values) append_little_endian(packed.content_, value);
    return bytes(field, packed.content_);
  }

 private:
  void append_tag(std::uint32_t field, std::uint32_t wire_type) {
    append_varint((std::uint64_t{field} << 3) | wire_type);
  }
  // Seven bits per byte, the lowest first; the eighth bit says that more follow.
  void append_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) content_ += static_cast<char>(value | 0x80);
    content_ += static_cast<char>(value);
  }

  std::string content_;
};

}  // namespace coho::trainer
