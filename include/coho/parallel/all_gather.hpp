#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/packed.hpp>

namespace coho::inline v0_1 {

/// The bytes of every rank on each rank, in rank order. All ranks must call it together; a rank may have none.
///
/// Uses only a communicator's sum: each rank writes its bytes, six per double so that the sum is exact,
/// where the others have zeros.
///
///     std::vector<std::vector<std::uint8_t>> all = coho::all_gather(mine, ranks);
struct all_gather_fn {
  template <communicator Communicator>
  std::vector<std::vector<std::uint8_t>> operator()(std::span<const std::uint8_t> bytes, Communicator& ranks) const {
    const auto rank = static_cast<std::size_t>(ranks.rank()), size = static_cast<std::size_t>(ranks.size());
    if (size == 1) return {std::vector<std::uint8_t>(bytes.begin(), bytes.end())};
    std::vector<double> lengths(size, 0.0);
    lengths[rank] = static_cast<double>(bytes.size());
    ranks.all_reduce_sum(detail::span_of(lengths));
    std::vector<std::size_t> places{0};
    for (const double length : lengths) places.push_back(places.back() + words(static_cast<std::size_t>(length)));

    std::vector<double> numbers(places.back(), 0.0);
    for (std::size_t i = 0; i < bytes.size(); i += width) {
      std::uint64_t word = 0;
      for (std::size_t k = i; k < std::min(i + width, bytes.size()); ++k)
        word |= static_cast<std::uint64_t>(bytes[k]) << (8 * (k - i));
      numbers[places[rank] + i / width] = static_cast<double>(word);
    }
    ranks.all_reduce_sum(detail::span_of(numbers));

    std::vector<std::vector<std::uint8_t>> out(size);
    for (std::size_t r = 0; r < size; ++r) {
      out[r].resize(static_cast<std::size_t>(lengths[r]));
      for (std::size_t k = 0; k < out[r].size(); ++k) {
        const auto word = static_cast<std::uint64_t>(numbers[places[r] + k / width]);
        out[r][k] = static_cast<std::uint8_t>(word >> (8 * (k % width)));
      }
    }
    return out;
  }

 private:
  static constexpr std::size_t width = 6;
  static constexpr std::size_t words(std::size_t bytes) noexcept { return (bytes + width - 1) / width; }
};
inline constexpr all_gather_fn all_gather{};

namespace detail {

/// Numbers and arrays of numbers as bytes, to be read in the same order by a process with the same binary layout.
class byte_writer {
 public:
  template <class Number>
  void number(const Number& value) {
    append(&value, sizeof(Number));
  }
  /// Anything with data() and size().
  template <class Array>
  void array(const Array& values) {
    number(static_cast<std::uint64_t>(values.size()));
    append(values.data(), static_cast<std::size_t>(values.size()) * sizeof(*values.data()));
  }
  const std::vector<std::uint8_t>& bytes() const noexcept { return bytes_; }

 private:
  void append(const void* from, std::size_t size) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    if (size > 0) std::memcpy(bytes_.data() + at, from, size);
  }
  std::vector<std::uint8_t> bytes_;
};

class byte_reader {
 public:
  explicit byte_reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  bool at_end() const noexcept { return at_ == bytes_.size(); }
  template <class Number>
  Number number() {
    Number out{};
    take(&out, sizeof(Number));
    return out;
  }
  /// A container that can be resized: std::vector, std::string, an Eigen array.
  template <class Array>
  Array array() {
    Array out;
    const auto size = number<std::uint64_t>();
    out.resize(static_cast<decltype(out.size())>(size));
    take(out.data(), static_cast<std::size_t>(size) * sizeof(*out.data()));
    return out;
  }

 private:
  void take(void* to, std::size_t size) {
    if (size > 0) std::memcpy(to, bytes_.data() + at_, size);
    at_ += size;
  }
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

}  // namespace detail

}  // namespace coho::inline v0_1
