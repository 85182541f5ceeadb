#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ATen.h>

namespace coho::trainer {

/// Lengths of sequences that share their first tokens. Every sequence has at least one own token.
struct prefix_group {
  std::int64_t shared = 0;        ///< tokens that all begin with, once in the batch; 0: none
  std::vector<std::int64_t> own;  ///< for each sequence the tokens after them
};

/// The layout of packed tokens when sequences share prefixes: group by group, the shared tokens first, then each
/// sequence's own tokens.
///
///     [shared of group 0][own 0.0][own 0.1] … [shared of group 1][own 1.0] …
///
/// An own token attends to the shared tokens of its group and, causally, to its sequence's own tokens; positions
/// continue after the shared tokens. With `cached` > 0 all groups also continue a prefix_cache of that many tokens.
///
/// Linear layers work on the N packed rows. Attention works part by part: a part is the shared tokens of a group, or
/// own tokens of some of its sequences, which use one copy of the keys that they share.
struct prefix_layout {
  /// Throws argument_error for a group without sequences, or a sequence without own tokens.
  explicit prefix_layout(std::span<const prefix_group> groups, at::Device device = at::kCPU, std::int64_t cached = 0);

  std::int64_t tokens = 0;
  std::int64_t longest = 0;  ///< the whole sequence, including shared and cached tokens
  std::int64_t cached = 0;
  at::Tensor positions;  ///< int64 [N]

  struct rows {
    std::int64_t first, count;
  };
  std::vector<rows> own;  ///< packed rows of each sequence's own tokens, in the order of the groups

  struct part {
    rows queries;
    rows shared;                        ///< rows whose keys they also see, all of them before any own one
    std::vector<std::int64_t> lengths;  ///< of the sequences in `queries`, which do not see each other
  };
  std::vector<part> parts;  ///< in order, covering all rows
};

}  // namespace coho::trainer
