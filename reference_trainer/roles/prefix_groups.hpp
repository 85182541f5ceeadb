#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <coho/packed.hpp>
#include <coho/rollout/minibatch.hpp>

namespace coho::trainer {

/// Sequences of a list that are read together: all begin with the same `shared` tokens.
struct shared_sequences {
  std::size_t shared = 0;            ///< 0 for a sequence alone
  std::vector<std::size_t> members;  ///< places in the list
  std::size_t tokens = 0;            ///< to compute: the shared ones once, and what each member has behind them

  friend bool operator==(const shared_sequences&, const shared_sequences&) = default;
};

/// Splits sequences into groups that share a prefix, equal token by token, so that the fewest tokens are left to
/// compute.
///
/// A prefix of fewer than `minimum` tokens is not worth a group. Each member keeps a token of its own at least. No
/// group goes beyond the limits of one forward (in tokens to compute; a single sequence may). Over the sequences in
/// their lexicographic order, where all that share a prefix are neighbours, the split is the best one:
///   best(i) = max over j < i of best(j) + (i − j − 1) · shared(j … i − 1)
/// Which groups come out depends on the tokens alone. Largest first; an empty sequence is an argument_error.
///
///     // two principles on a pair in both orders: a group for each order
///     for (const auto& group : group_by_prefix(prompts, 32, {.tokens = 8192})) …
std::vector<shared_sequences> group_by_prefix(std::span<const std::vector<token>> sequences, std::size_t minimum,
                                              const batch_limits& limits = {});

/// Cuts groups into forwards within the limits, sequences and tokens counted over whole groups.
std::vector<std::vector<shared_sequences>> pack_groups(std::vector<shared_sequences> groups,
                                                       const batch_limits& limits);

}  // namespace coho::trainer
