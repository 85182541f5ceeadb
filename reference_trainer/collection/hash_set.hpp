#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace coho::trainer {

/// A set of hashes, at 11 to 22 bytes each: enough to tell whether a text was seen before without keeping texts.
class hash_set {
 public:
  /// Whether it is new. 0 is reserved and counts as 1.
  bool insert(std::uint64_t hash) {
    if (4 * (count_ + 1) > 3 * slots_.size()) grow();
    return insert_hash(hash == 0 ? 1 : hash);
  }
  std::size_t size() const noexcept { return count_; }
  /// Bytes of memory; half as much again while growing.
  std::size_t bytes() const noexcept { return slots_.capacity() * sizeof(std::uint64_t); }

 private:
  /// Linear probing; `hash` is not 0, which marks a free slot.
  bool insert_hash(std::uint64_t hash) {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      if (slots_[at] == hash) return false;
      if (slots_[at] != 0) continue;
      slots_[at] = hash;
      ++count_;
      return true;
    }
  }
  /// Doubles the slots: at most three quarters are used.
  void grow() {
    const auto old = std::exchange(slots_, std::vector<std::uint64_t>(slots_.empty() ? 1024 : 2 * slots_.size()));
    count_ = 0;
    for (const auto hash : old)
      if (hash != 0) insert_hash(hash);
  }

  std::vector<std::uint64_t> slots_;
  std::size_t count_ = 0;
};

}  // namespace coho::trainer
