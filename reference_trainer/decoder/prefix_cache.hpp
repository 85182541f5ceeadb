#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include <ATen/ATen.h>

#include "decoder/kv_cache.hpp"

namespace coho::trainer {

/// Keys and values of all blocks for one token sequence, computed once (`llama_model::prefix`): sequences that begin
/// with these tokens attend to it without copies. They are valid only for the weights and adapter that computed them.
///
/// Results equal those of the whole sequence to rounding. The exception is RoPE of the type `dynamic` beyond the
/// trained context: its table depends on the length, and keys keep the table of the prefix, as in a kv_cache.
class prefix_cache {
 public:
  /// An empty prefix.
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
