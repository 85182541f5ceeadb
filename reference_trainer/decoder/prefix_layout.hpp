#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

namespace coho::trainer {

/// Lengths of sequences that share their first tokens. Of every sequence at least one token is its own.
struct prefix_group {
  std::int64_t shared = 0;        ///< tokens that all begin with, in the batch once; 0: none
  std::vector<std::int64_t> own;  ///< of each sequence the tokens behind them
};

/// Where packed tokens lie when sequences share prefixes: group after group, its shared tokens first, then what is each
/// sequence's own.
///
///     [shared of group 0][own 0.0][own 0.1] … [shared of group 1][own 1.0] …
///
/// An own token attends to the shared ones of its group and, causally, to its sequence's own; positions go on behind
/// the shared tokens. With `cached` > 0 all groups moreover continue a prefix_cache of that many tokens.
///
/// Linear layers work on the N packed rows as they are. Attention works part by part: a part is the shared tokens of a
/// group, or own tokens of some of its sequences, which meet one copy of the keys that they share.
struct prefix_layout {
  explicit prefix_layout(std::span<const prefix_group> groups, at::Device device = at::kCPU, std::int64_t cached = 0);

  std::int64_t tokens = 0;
  std::int64_t longest = 0;  ///< whole sequence, shared and cached tokens included
  std::int64_t cached = 0;
  at::Tensor positions;  ///< int64 [N]

  struct rows {
    std::int64_t first, count;
  };
  std::vector<rows> own;  ///< packed rows of each sequence's own tokens, in the order of the groups

  struct part {
    rows queries;
    rows shared;                        ///< rows whose keys they see besides, all of them before any own one
    std::vector<std::int64_t> lengths;  ///< of the sequences in `queries`, which do not see each other
  };
  std::vector<part> parts;  ///< one behind the other, all rows
};

}  // namespace coho::trainer
