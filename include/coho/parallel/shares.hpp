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
#include <coho/rollout/minibatch.hpp>

namespace coho::inline v0_1 {

/// A half-open range of indices.
struct index_range {
  std::size_t begin = 0, end = 0;
  std::size_t size() const noexcept { return end - begin; }
  friend bool operator==(const index_range&, const index_range&) = default;
};

/// How many shares the work of a step is divided into: `ranks.shares()`, or one per rank.
///
/// The elements of a share's floating-point sums depend on the number of shares and not on which rank works on them:
/// with S shares, one process, S processes and any number in between give bit-identical results.
struct share_count_fn {
  template <communicator Communicator>
  std::size_t operator()(Communicator& ranks) const {
    if constexpr (requires {
                    { ranks.shares() } -> std::convertible_to<std::size_t>;
                  }) {
      return std::max<std::size_t>(static_cast<std::size_t>(ranks.shares()), 1);
    } else {
      return static_cast<std::size_t>(ranks.size());
    }
  }
};
inline constexpr share_count_fn share_count{};

/// Part number `part` of `count` things divided into `parts` contiguous parts, as evenly as possible.
///
///     coho::part_of(10, 1, 4);  // {2, 5}
struct part_of_fn {
  constexpr index_range operator()(std::size_t count, std::size_t part, std::size_t parts) const noexcept {
    return {count * part / parts, count * (part + 1) / parts};
  }
};
inline constexpr part_of_fn part_of{};

/// The shares that this rank works on, which are contiguous. If there are more ranks than shares, the first ranks have
/// one share each and the others none.
struct shares_of_rank_fn {
  template <communicator Communicator>
  index_range operator()(Communicator& ranks) const {
    const std::size_t shares = share_count(ranks), rank = static_cast<std::size_t>(ranks.rank()),
                      size = static_cast<std::size_t>(ranks.size());
    if (shares < size) return {std::min(rank, shares), std::min(rank + 1, shares)};
    return part_of(shares, rank, size);
  }
};
inline constexpr shares_of_rank_fn shares_of_rank{};

/// This rank's part of `count` things that are the same on all ranks: those of its shares. It may be empty.
///
///     const auto mine = coho::part_of_rank(prompts.size(), ranks);
///     trainer.step(std::span(prompts).subspan(mine.begin, mine.size()));
struct part_of_rank_fn {
  template <communicator Communicator>
  index_range operator()(std::size_t count, Communicator& ranks) const {
    const std::size_t all = share_count(ranks);
    const index_range mine = shares_of_rank(ranks);
    if (mine.size() == 0) return {count * mine.begin / all, count * mine.begin / all};
    return {part_of(count, mine.begin, all).begin, part_of(count, mine.end - 1, all).end};
  }
};
inline constexpr part_of_rank_fn part_of_rank{};

/// One share of a batch.
struct work_share {
  std::size_t number = 0;
  std::vector<std::size_t> indices{};
  friend bool operator==(const work_share&, const work_share&) = default;
};

/// The part of a batch that a rank works on.
struct work_plan {
  std::size_t shares = 1;  ///< over all ranks
  std::vector<work_share> mine{};
};

/// Distributes sequences that all ranks know over the shares: longest first, in serpentine order, so that shares hold
/// the same number of sequences and about the same number of tokens. Within a share the given order is kept. A single
/// share holds them as given.
///
///     auto work = coho::deal(minibatch, lengths, ranks);  // work.mine: the shares of this rank
struct deal_fn {
  template <communicator Communicator>
  work_plan operator()(std::span<const std::size_t> indices, std::span<const std::size_t> lengths,
                       Communicator& ranks) const {
    work_plan out{.shares = share_count(ranks)};
    std::vector<std::size_t> order(indices.size()), share_of(indices.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    detail::stable_sort(order, [&](std::size_t a, std::size_t b) { return lengths[indices[a]] > lengths[indices[b]]; });
    for (std::size_t place = 0; place < order.size(); ++place) {
      const std::size_t round = place / out.shares, turn = place % out.shares;
      share_of[order[place]] = round % 2 == 0 ? turn : out.shares - 1 - turn;
    }
    const index_range mine = shares_of_rank(ranks);
    for (std::size_t s = mine.begin; s < mine.end; ++s) out.mine.push_back({.number = s});
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (share_of[i] >= mine.begin && share_of[i] < mine.end)
        out.mine[share_of[i] - mine.begin].indices.push_back(indices[i]);
    }
    return out;
  }
};
inline constexpr deal_fn deal{};

/// The plan if each rank brings its own sequences: one share per rank.
struct own_work_fn {
  template <communicator Communicator>
  work_plan operator()(std::vector<std::size_t> indices, Communicator& ranks) const {
    work_plan out{.shares = static_cast<std::size_t>(ranks.size())};
    out.mine.push_back({static_cast<std::size_t>(ranks.rank()), std::move(indices)});
    return out;
  }
};
inline constexpr own_work_fn own_work{};

/// Per-share sums, added over the shares of all ranks in share order: bit-identical however the shares are distributed.
///
///     coho::share_sums<2> sums(work.shares);
///     sums.of(share.number)[0] += loss;
///     auto [loss, pairs] = sums.total(ranks);
template <std::size_t Count>
class share_sums {
 public:
  explicit share_sums(std::size_t shares) : values_(shares * Count, 0.0) {}

  double* of(std::size_t share) noexcept { return values_.data() + share * Count; }

  /// All ranks must call it together, once.
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
