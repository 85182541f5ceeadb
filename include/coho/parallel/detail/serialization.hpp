#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include <coho/packed.hpp>
#include <coho/rollout/trajectory.hpp>

namespace coho::inline v0_1::detail {

/// Numbers and arrays of numbers as bytes, to be read in the same order by a process with the same binary layout.
class rank_message_writer {
 public:
  /// A number or enumerator.
  template <class Number>
  void write_number(const Number& value) {
    append_bytes(&value, sizeof(Number));
  }
  /// Anything with data() and size(): the number of elements (8 bytes), then the elements.
  template <class Array>
  void write_array(const Array& values) {
    write_number(static_cast<std::uint64_t>(values.size()));
    append_bytes(values.data(), static_cast<std::size_t>(values.size()) * sizeof(*values.data()));
  }
  const std::vector<std::uint8_t>& bytes() const noexcept { return bytes_; }

 private:
  void append_bytes(const void* from, std::size_t size) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    if (size > 0) std::memcpy(bytes_.data() + at, from, size);
  }
  std::vector<std::uint8_t> bytes_;
};

/// Reads what a `rank_message_writer` wrote, in the same order and with the same types: the bytes name neither, and
/// lengths are not checked. Not for files.
class rank_message_reader {
 public:
  explicit rank_message_reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool at_end() const noexcept { return at_ == bytes_.size(); }
  /// The next number or enumerator.
  template <class Number>
  Number read_number() {
    Number out{};
    copy_next(&out, sizeof(Number));
    return out;
  }
  /// The next array, as a container that can be resized: std::vector, std::string, an Eigen array.
  template <class Array>
  Array read_array() {
    Array out;
    const auto size = read_number<std::uint64_t>();
    out.resize(static_cast<decltype(out.size())>(size));
    copy_next(out.data(), static_cast<std::size_t>(size) * sizeof(*out.data()));
    return out;
  }

 private:
  void copy_next(void* to, std::size_t size) {
    if (size > 0) std::memcpy(to, bytes_.data() + at_, size);
    at_ += size;
  }
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// Visitor of `for_each_field` that writes members as bytes, those of nested objects one by one.
struct write_field {
  rank_message_writer& to;

  template <class T>
  void operator()(const T& value) const {
    if constexpr (with_fields<const T>) {
      for_each_field(value, *this);
    } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      to.write_number(value);
    } else {
      to.write_array(value);
    }
  }
  template <class T>
  void operator()(const std::vector<T>& values) const {
    if constexpr (std::is_arithmetic_v<T>) {
      to.write_array(values);
    } else {
      to.write_number(static_cast<std::uint64_t>(values.size()));
      for (const auto& value : values) (*this)(value);
    }
  }
  template <class T>
  void operator()(const packed<T>& sequences) const {
    to.write_array(sequences.values);
    to.write_array(sequences.offsets);
  }
  template <std::same_as<token_batch> Batch>
  void operator()(const Batch& batch) const {
    (*this)(batch.prompts);
    (*this)(batch.responses);
  }
};

/// Visitor of `for_each_field` that reads members in the order in which `write_field` wrote them.
struct read_field {
  rank_message_reader& from;

  template <class T>
  void operator()(T& value) const {
    if constexpr (with_fields<T>) {
      for_each_field(value, *this);
    } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      value = from.read_number<T>();
    } else {
      value = from.read_array<T>();
    }
  }
  template <class T>
  void operator()(std::vector<T>& values) const {
    if constexpr (std::is_arithmetic_v<T>) {
      values = from.read_array<std::vector<T>>();
    } else {
      values.resize(static_cast<std::size_t>(from.read_number<std::uint64_t>()));
      for (auto& value : values) (*this)(value);
    }
  }
  template <class T>
  void operator()(packed<T>& sequences) const {
    sequences.values = from.read_array<std::vector<T>>();
    sequences.offsets = from.read_array<std::vector<std::size_t>>();
  }
  template <std::same_as<token_batch> Batch>
  void operator()(Batch& batch) const {
    (*this)(batch.prompts);
    (*this)(batch.responses);
  }
};

}  // namespace coho::inline v0_1::detail
