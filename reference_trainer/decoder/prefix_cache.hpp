#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <utility>

#include "decoder/kv_cache.hpp"

namespace coho::trainer {

/// Keys and values of all blocks for one token sequence, computed once (`llama_model::prefix`): what sequences that
/// begin with these tokens attend to, without a copy for each. They are those of the weights and adapter that computed
/// them, and are of no use with others.
///
/// Numbers are those of the whole sequence to rounding. RoPE of the type `dynamic` beyond the trained context is the
/// exception: its table depends on the length, and keys keep that of the prefix's, as those of a kv_cache do.
class prefix_cache {
 public:
  /// Of no token.
  prefix_cache() = default;
  /// Slot 0 of a cache, full.
  explicit prefix_cache(kv_cache computed) : slots_(std::move(computed)) {}

  std::int64_t length() const { return slots_ ? slots_->capacity() : 0; }
  /// [K, length, D].
  at::Tensor keys(std::size_t block) const { return slots_->keys(block, 1, length()).select(0, 0); }
  at::Tensor values(std::size_t block) const { return slots_->values(block, 1, length()).select(0, 0); }

 private:
  std::optional<kv_cache> slots_;
};

}  // namespace coho::trainer
