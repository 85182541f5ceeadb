#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
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
  static constexpr std::size_t width = 6;  // bytes per double, which holds integers of 53 bits exactly
  static constexpr std::size_t words(std::size_t bytes) noexcept { return (bytes + width - 1) / width; }
};
inline constexpr all_gather_fn all_gather{};

}  // namespace coho::inline v0_1
