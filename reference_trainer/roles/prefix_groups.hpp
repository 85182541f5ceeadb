#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <coho/packed.hpp>
#include <coho/rollout/micro_batch.hpp>

namespace coho::trainer {

/// Sequences of a list that are processed together: all begin with the same `shared` tokens.
struct shared_sequences {
  std::size_t shared = 0;            ///< 0 for a single sequence
  std::vector<std::size_t> members;  ///< indices in the list
  std::size_t tokens = 0;            ///< to compute: the shared ones once, and each member's tokens after them

  friend bool operator==(const shared_sequences&, const shared_sequences&) = default;
};

/// Splits sequences into groups that share a prefix, equal token by token, so that the fewest tokens remain to be
/// computed.
///
/// A prefix shorter than `minimum` tokens does not make a group. Each member keeps at least one own token. No group
/// exceeds the limits of one forward (in tokens to compute; a single sequence may). Over the sequences in lexicographic
/// order, where all that share a prefix are adjacent, the split is optimal:
///   best(i) = max over j < i of best(j) + (i − j − 1) · shared(j … i − 1)
/// The groups depend only on the tokens. Largest first; an empty sequence is an argument_error.
///
///     // two principles on a pair in both orders: a group for each order
///     for (const auto& group : group_by_prefix(prompts, 32, {.tokens = 8192})) …
std::vector<shared_sequences> group_by_prefix(std::span<const std::vector<token>> sequences, std::size_t minimum,
                                              const batch_limits& limits = {});

/// Packs groups into forward passes within the limits, counting sequences and tokens over whole groups.
std::vector<std::vector<shared_sequences>> pack_groups(std::vector<shared_sequences> groups,
                                                       const batch_limits& limits);

}  // namespace coho::trainer
