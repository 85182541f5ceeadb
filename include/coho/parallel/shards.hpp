#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/detail/stable_sort.hpp>

namespace coho::inline v0_1 {

/// A half-open range of indices.
struct index_range {
  std::size_t begin = 0, end = 0;
  std::size_t size() const noexcept { return end - begin; }
  friend bool operator==(const index_range&, const index_range&) = default;
};

/// How many shards the work of a step is divided into: `ranks.shards()`, or one per rank.
///
/// The elements of a shard's floating-point sums depend on the number of shards and not on which rank works on them:
/// with S shards, one process, S processes and any number in between give bit-identical results.
struct shard_count_fn {
  template <communicator Communicator>
  std::size_t operator()(Communicator& ranks) const {
    if constexpr (requires {
                    { ranks.shards() } -> std::convertible_to<std::size_t>;
                  }) {
      return std::max<std::size_t>(static_cast<std::size_t>(ranks.shards()), 1);
    } else {
      return static_cast<std::size_t>(ranks.size());
    }
  }
};
inline constexpr shard_count_fn shard_count{};

/// Part number `part` of `count` things divided into `parts` contiguous parts, as evenly as possible.
///
///     coho::shard_range(10, 1, 4);  // {2, 5}
struct shard_range_fn {
  constexpr index_range operator()(std::size_t count, std::size_t part, std::size_t parts) const noexcept {
    return {count * part / parts, count * (part + 1) / parts};
  }
};
inline constexpr shard_range_fn shard_range{};

/// The shards that this rank works on, which are contiguous. If there are more ranks than shards, the first ranks have
/// one shard each and the others none.
struct shards_of_rank_fn {
  template <communicator Communicator>
  index_range operator()(Communicator& ranks) const {
    const std::size_t shards = shard_count(ranks), rank = static_cast<std::size_t>(ranks.rank()),
                      size = static_cast<std::size_t>(ranks.size());
    if (shards < size) return {std::min(rank, shards), std::min(rank + 1, shards)};
    return shard_range(shards, rank, size);
  }
};
inline constexpr shards_of_rank_fn shards_of_rank{};

/// This rank's part of `count` things that are the same on all ranks: those of its shards. It may be empty.
///
///     const auto mine = coho::range_of_rank(prompts.size(), ranks);
///     trainer.step(std::span(prompts).subspan(mine.begin, mine.size()));
struct range_of_rank_fn {
  template <communicator Communicator>
  index_range operator()(std::size_t count, Communicator& ranks) const {
    const std::size_t all = shard_count(ranks);
    const index_range mine = shards_of_rank(ranks);
    if (mine.size() == 0) return {count * mine.begin / all, count * mine.begin / all};
    return {shard_range(count, mine.begin, all).begin, shard_range(count, mine.end - 1, all).end};
  }
};
inline constexpr range_of_rank_fn range_of_rank{};

/// One shard of a batch.
struct work_shard {
  std::size_t number = 0;
  std::vector<std::size_t> indices{};
  friend bool operator==(const work_shard&, const work_shard&) = default;
};

/// The part of a batch that a rank works on.
struct work_plan {
  std::size_t shards = 1;  ///< over all ranks
  std::vector<work_shard> mine{};
};

/// Distributes sequences that all ranks know over the shards: longest first, in serpentine order, so that shards hold
/// the same number of sequences and about the same number of tokens. Within a shard the given order is kept. A single
/// shard holds them as given.
///
///     auto work = coho::partition(minibatch, lengths, ranks);  // work.mine: the shards of this rank
struct partition_fn {
  template <communicator Communicator>
  work_plan operator()(std::span<const std::size_t> indices, std::span<const std::size_t> lengths,
                       Communicator& ranks) const {
    work_plan out{.shards = shard_count(ranks)};
    std::vector<std::size_t> order(indices.size()), shard_of(indices.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    detail::stable_sort(order, [&](std::size_t a, std::size_t b) { return lengths[indices[a]] > lengths[indices[b]]; });
    for (std::size_t place = 0; place < order.size(); ++place) {
      const std::size_t round = place / out.shards, turn = place % out.shards;
      shard_of[order[place]] = round % 2 == 0 ? turn : out.shards - 1 - turn;
    }
    const index_range mine = shards_of_rank(ranks);
    for (std::size_t s = mine.begin; s < mine.end; ++s) out.mine.push_back({.number = s});
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (shard_of[i] >= mine.begin && shard_of[i] < mine.end)
        out.mine[shard_of[i] - mine.begin].indices.push_back(indices[i]);
    }
    return out;
  }
};
inline constexpr partition_fn partition{};

/// The plan if each rank brings its own sequences: one shard per rank.
struct local_plan_fn {
  template <communicator Communicator>
  work_plan operator()(std::vector<std::size_t> indices, Communicator& ranks) const {
    work_plan out{.shards = static_cast<std::size_t>(ranks.size())};
    out.mine.push_back({static_cast<std::size_t>(ranks.rank()), std::move(indices)});
    return out;
  }
};
inline constexpr local_plan_fn local_plan{};

/// Per-shard sums, added over the shards of all ranks in shard order: bit-identical however the shards are distributed.
///
///     coho::shard_sums<2> sums(work.shards);
///     sums.shard(shard.number)[0] += loss;
///     auto [loss, pairs] = sums.total(ranks);
template <std::size_t Count>
class shard_sums {
 public:
  explicit shard_sums(std::size_t shards) : values_(shards * Count, 0.0) {}

  /// The `Count` sums of one shard, to be added to.
  double* shard(std::size_t number) noexcept { return values_.data() + number * Count; }

  /// Each sum over all shards. All ranks must call it together, once.
  template <communicator Communicator>
  std::array<double, Count> total(Communicator& ranks) {
    ranks.all_reduce_sum(detail::span_of(values_));
    std::array<double, Count> out{};
    for (std::size_t i = 0; i < values_.size(); ++i) out[i % Count] += values_[i];
    return out;
  }

 private:
  std::vector<double> values_;
};

}  // namespace coho::inline v0_1
