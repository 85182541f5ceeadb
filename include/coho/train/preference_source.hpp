#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <type_traits>

#include <coho/concepts.hpp>

namespace coho {

/// Two answers to one prompt, the chosen one first. The queries refer to text and tokens that the caller keeps.
struct preference_pair {
  reward_query chosen;
  reward_query rejected;
  double target = 1;       ///< probability that `chosen` is the better one; 0.5 for a tie; in [0, 1]
  double loss_margin = 0;  ///< m of `bradley_terry_loss`, on top of the options' margin; 0 for other losses
};

/// preference_source: pairs that are fetched batch by batch, where there are more of them than memory holds.
///  (1) `s.size()`, the number of pairs;
///  (2) `s.load(indices)` with a `std::span<const std::size_t>` returns the pairs of these indices in their order, as a
///      contiguous range of `preference_pair`. What they refer to stays until the next call.
template <class Source>
concept preference_source = requires(Source& s, std::span<const std::size_t> indices) {
  { s.size() } -> std::convertible_to<std::size_t>;
  { s.load(indices) } -> std::convertible_to<std::span<const preference_pair>>;
};

template <class Source>
consteval bool require_preference_source() {
  static_assert(
      requires(Source& s) {
        { s.size() } -> std::convertible_to<std::size_t>;
      }, "coho::preference_source (1): the source has no size()");
  static_assert(
      requires(Source& s, std::span<const std::size_t> indices) {
        { s.load(indices) } -> std::convertible_to<std::span<const preference_pair>>;
      },
      "coho::preference_source (2): the source has no load(std::span<const std::size_t>) that returns a contiguous "
      "range "
      "of preference_pair");
  return true;
}

}  // namespace coho
