#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/detail/stable_sort.hpp>
#include <coho/error.hpp>
#include <coho/rng.hpp>

namespace coho::inline v0_1 {

/// Who chooses the minibatches of several ranks.
/// `global`: one shuffle over all ranks, so that results do not depend on the number of ranks (a rank's part of a
/// minibatch varies). `each_rank`: every rank splits its own sequences (even shards, results depend on the rank count).
enum class minibatch_scope { global, each_rank };
constexpr auto option_names(minibatch_scope) { return std::array{"global", "each_rank"}; }

/// A random partition into minibatches of `size` sequences (the last may be smaller; 0: one minibatch of all).
///
/// The order is that of a random tag drawn from `stream.split(key)` for each sequence: which sequences meet does not
/// depend on the order in which they are given, nor (scope `global`) on how they are spread over ranks. Returns this
/// rank's indices of each minibatch, equally many on every rank; a rank's part may be empty. With several ranks
/// and scope `each_rank`, `size` is still counted over all ranks and must be a multiple of their number
/// (`argument_error`).
struct minibatches_fn {
  template <communicator Communicator = const local_communicator>
  std::vector<std::vector<std::size_t>> operator()(std::span<const std::uint64_t> keys, std::size_t size,
                                                   const rng& stream, minibatch_scope scope = minibatch_scope::global,
                                                   Communicator& ranks = local) const {
    const auto rank = static_cast<std::size_t>(ranks.rank()), rank_count = static_cast<std::size_t>(ranks.size());
    std::vector<double> counts(rank_count, 0.0);
    counts[rank] = static_cast<double>(keys.size());
    ranks.all_reduce_sum(detail::span_of(counts));
    std::size_t first = 0, total = 0, most = 0;
    for (std::size_t r = 0; r < rank_count; ++r) {
      const auto count = static_cast<std::size_t>(counts[r]);
      if (r < rank) first += count;
      total += count;
      most = std::max(most, count);
    }

    std::vector<double> tags(total, 0.0);
    for (std::size_t i = 0; i < keys.size(); ++i) tags[first + i] = stream.split(keys[i]).uniform();
    ranks.all_reduce_sum(detail::span_of(tags));

    const bool together = scope == minibatch_scope::global;
    if (size == 0) size = std::max<std::size_t>(total, 1);
    require_argument(together || size >= total || size % rank_count == 0, "a minibatch of " + std::to_string(size) +
                                                                              " sequences cannot be shared evenly by " +
                                                                              std::to_string(rank_count) + " ranks");
    const std::size_t part = together ? size : std::max<std::size_t>(size >= total ? most : size / rank_count, 1);
    const std::size_t considered = together ? total : keys.size();
    const std::size_t base = together ? 0 : first;

    std::vector<std::size_t> order(considered);
    std::iota(order.begin(), order.end(), base);
    detail::stable_sort(order, [&](std::size_t a, std::size_t b) { return tags[a] < tags[b]; });
    const std::size_t span = together ? total : most;
    std::vector<std::vector<std::size_t>> out((span + part - 1) / part);
    for (std::size_t position = 0; position < order.size(); ++position) {
      const std::size_t index = order[position];
      if (index >= first && index < first + keys.size()) out[position / part].push_back(index - first);
    }
    return out;
  }
};
inline constexpr minibatches_fn minibatches{};

/// The parts of a flat per-token array that belong to the selected sequences, in their order.
template <class Number>
Eigen::Array<Number, Eigen::Dynamic, 1> gather(const Eigen::Array<Number, Eigen::Dynamic, 1>& flat,
                                               std::span<const std::size_t> offsets,
                                               std::span<const std::size_t> indices) {
  Eigen::Index total = 0;
  for (const std::size_t i : indices) total += static_cast<Eigen::Index>(offsets[i + 1] - offsets[i]);
  Eigen::Array<Number, Eigen::Dynamic, 1> out(total);
  Eigen::Index at = 0;
  for (const std::size_t i : indices) {
    const auto length = static_cast<Eigen::Index>(offsets[i + 1] - offsets[i]);
    out.segment(at, length) = flat.segment(static_cast<Eigen::Index>(offsets[i]), length);
    at += length;
  }
  return out;
}

/// The reverse of `gather`: writes the parts back in place.
template <class Number>
void scatter(const Eigen::Array<Number, Eigen::Dynamic, 1>& part, std::span<const std::size_t> offsets,
             std::span<const std::size_t> indices, Eigen::Array<Number, Eigen::Dynamic, 1>& flat) {
  Eigen::Index at = 0;
  for (const std::size_t i : indices) {
    const auto length = static_cast<Eigen::Index>(offsets[i + 1] - offsets[i]);
    flat.segment(static_cast<Eigen::Index>(offsets[i]), length) = part.segment(at, length);
    at += length;
  }
}

}  // namespace coho::inline v0_1
