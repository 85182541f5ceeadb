#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

#include "architecture/config.hpp"

namespace coho::trainer {

/// Keys and values of all blocks for a number of slots, allocated once: [slots, K, capacity, D] each.
///
/// Slots 0 … n − 1 are active; when a sequence ends, the last active one moves to its slot (`copy`), so that decoding
/// always works on a dense prefix.
class kv_cache {
 public:
  /// `options`: type and device of keys and values. Throws argument_error unless slots and capacity are positive, and if
  /// the machine does not have the memory (on the CPU).
  kv_cache(const llama_config& config, std::int64_t slots, std::int64_t capacity, const at::TensorOptions& options);

  std::int64_t slots() const { return slots_; }
  std::int64_t capacity() const { return capacity_; }

  /// Stores the keys and values [T, K, D] of one sequence from position `first` on.
  void write(std::size_t block, std::int64_t slot, std::int64_t first, const at::Tensor& keys,
             const at::Tensor& values);
  /// Stores one position per slot: keys, values [n, K, D] for slots 0 … n − 1 at `positions` (int64 [n]).
  void append(std::size_t block, const at::Tensor& positions, const at::Tensor& keys, const at::Tensor& values);
  /// Copies the first `length` positions of a slot to another one.
  void copy(std::int64_t from, std::int64_t to, std::int64_t length);

  /// Views of the first `length` positions of slots 0 … active − 1: [active, K, length, D].
  at::Tensor keys(std::size_t block, std::int64_t active, std::int64_t length) const;
  at::Tensor values(std::size_t block, std::int64_t active, std::int64_t length) const;

 private:
  std::int64_t slots_, capacity_;
  std::vector<at::Tensor> keys_, values_;
};

}  // namespace coho::trainer
