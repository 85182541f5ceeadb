#pragma once

#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/detail/stable_sort.hpp>
#include <coho/options.hpp>

namespace coho::inline v0_1 {

/// How many sequences and tokens one forward may hold; 0 is no limit. A sequence over the token limit gets a forward
/// of its own.
struct batch_limits {
  std::size_t sequences = 0;
  std::size_t tokens = 0;
  bool sort_by_length = false;  ///< long sequences first: evenly loaded batches, largest memory need first

  static void describe(auto&& visit, auto&... o) {
    visit({"sequences", "limit of one forward; 0: none", {}, "sequences"}, o.sequences...);
    visit({"tokens", "limit of one forward; 0: none", {}, "tokens"}, o.tokens...);
    visit({"sort_by_length", "long sequences first"}, o.sort_by_length...);
  }
};

/// Cuts an order of sequences into forwards within the limits. `lengths[i]` is the number of tokens of sequence i.
///
///     auto parts = coho::micro_batches(order, lengths, {.sequences = 8});
struct micro_batches_fn {
  /// The sequences in `order`, or longest first if the limits say so.
  template <class = detail::if_called>
  std::vector<std::vector<std::size_t>> operator()(std::vector<std::size_t> order, std::span<const std::size_t> lengths,
                                                   const batch_limits& limits) const {
    if (limits.sort_by_length) {
      detail::stable_sort(order, [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; });
    }
    std::vector<std::vector<std::size_t>> out;
    std::size_t tokens = 0;
    for (const std::size_t i : order) {
      const bool full = out.empty() || (limits.sequences != 0 && out.back().size() == limits.sequences) ||
                        (limits.tokens != 0 && tokens + lengths[i] > limits.tokens);
      if (full) {
        out.emplace_back();
        tokens = 0;
      }
      out.back().push_back(i);
      tokens += lengths[i];
    }
    return out;
  }
  /// All sequences in their given order.
  template <class = detail::if_called>
  std::vector<std::vector<std::size_t>> operator()(std::span<const std::size_t> lengths,
                                                   const batch_limits& limits) const {
    std::vector<std::size_t> order(lengths.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    return (*this)(std::move(order), lengths, limits);
  }
};
inline constexpr micro_batches_fn micro_batches{};

}  // namespace coho::inline v0_1
