#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <coho/concepts.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/parallel/all_gather.hpp>
#include <coho/parallel/detail/serialization.hpp>
#include <coho/parallel/shards.hpp>
#include <coho/rollout/trajectory.hpp>

namespace coho::inline v0_1 {

namespace detail {

/// Visitor of `for_each_field` over two batches: appends the second's rollouts to the first's, and adds up sums.
struct append_field {
  template <class T>
  void operator()(std::vector<T>& to, const std::vector<T>& from) const {
    to.insert(to.end(), from.begin(), from.end());
  }
  template <class T>
  void operator()(packed<T>& to, const packed<T>& from) const {
    for (std::size_t i = 0; i < from.size(); ++i) to.push_back(from[i]);
  }
  template <std::same_as<token_batch> Batch>
  void operator()(Batch& to, const Batch& from) const {
    (*this)(to.prompts, from.prompts);
    (*this)(to.responses, from.responses);
  }
  template <std::same_as<Eigen::ArrayXd> Array>
  void operator()(Array& to, const Array& from) const {
    const Eigen::Index size = to.size();
    to.conservativeResize(size + from.size());
    to.tail(from.size()) = from;
  }
  void operator()(double& to, const double& from) const { to += from; }
};

/// Rollouts of this rank's `count` sequences, shard by shard: a shard's passes do not depend on how
/// many shards a rank has. `evaluate(begin, end)` makes those of one range. `count` may be 0.
template <class Communicator, class Evaluate>
trajectory_batch evaluate_by_shards(std::size_t count, Communicator& ranks, Evaluate evaluate) {
  const std::size_t shards = shard_count(ranks), size = static_cast<std::size_t>(ranks.size());
  trajectory_batch out;
  if (shards <= size) {
    if (count > 0) out = evaluate(std::size_t{0}, count);
    return out;
  }
  std::vector<double> counts(size, 0.0);
  counts[static_cast<std::size_t>(ranks.rank())] = static_cast<double>(count);
  ranks.all_reduce_sum(span_of(counts));
  std::size_t first = 0, total = 0;
  for (std::size_t r = 0; r < size; ++r) {
    if (r < static_cast<std::size_t>(ranks.rank())) first += static_cast<std::size_t>(counts[r]);
    total += static_cast<std::size_t>(counts[r]);
  }
  for (std::size_t s = 0; s < shards; ++s) {
    const index_range part = shard_range(total, s, shards);
    const std::size_t begin = std::max(part.begin, first), end = std::min(part.end, first + count);
    if (begin >= end) continue;
    const trajectory_batch more = evaluate(begin - first, end - first);
    for_each_field(out, more, append_field{});
  }
  return out;
}

}  // namespace detail

/// The rollouts of all ranks on every rank, in rank order: a few megabytes for hundreds of responses, compared with
/// gradients of gigabytes. The rest is then computed as by one process. All ranks call together; a rank may
/// have none.
///
///     rollouts = coho::gather_rollouts(std::move(rollouts), ranks);
struct gather_rollouts_fn {
  template <communicator Communicator>
  trajectory_batch operator()(trajectory_batch mine, Communicator& ranks) const {
    if (ranks.size() == 1) return mine;
    detail::rank_message_writer bytes;
    for_each_field(mine, detail::write_field{bytes});
    trajectory_batch out;
    for (const auto& each : all_gather(detail::span_of(bytes.bytes()), ranks)) {
      detail::rank_message_reader reader(detail::span_of(each));
      trajectory_batch theirs;
      for_each_field(theirs, detail::read_field{reader});
      for_each_field(out, std::as_const(theirs), detail::append_field{});
    }
    require_argument(out.recorded_log_probs.size() == 0 || out.recorded_log_probs.size() == out.old_log_probs.size(),
                     "the rollouts of some ranks have log_probs of their sampler, those of others have none");
    return out;
  }
};
inline constexpr gather_rollouts_fn gather_rollouts{};

}  // namespace coho::inline v0_1
