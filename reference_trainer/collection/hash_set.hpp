#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace coho::trainer {

/// Numbers that are hashes already, at 11 to 22 bytes each: what is needed to tell whether a text was seen before
/// without keeping texts.
class hash_set {
 public:
  /// Whether it is new. 0 is no hash of its own: it counts as 1.
  bool insert(std::uint64_t hash) {
    if (4 * (count_ + 1) > 3 * slots_.size()) grow();
    return place(hash == 0 ? 1 : hash);
  }
  std::size_t size() const noexcept { return count_; }
  /// Of memory; half as many more while it grows.
  std::size_t bytes() const noexcept { return slots_.capacity() * sizeof(std::uint64_t); }

 private:
  bool place(std::uint64_t hash) {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      if (slots_[at] == hash) return false;
      if (slots_[at] != 0) continue;
      slots_[at] = hash;
      ++count_;
      return true;
    }
  }
  void grow() {
    const auto old = std::exchange(slots_, std::vector<std::uint64_t>(slots_.empty() ? 1024 : 2 * slots_.size()));
    count_ = 0;
    for (const auto hash : old)
      if (hash != 0) place(hash);
  }

  std::vector<std::uint64_t> slots_;
  std::size_t count_ = 0;
};

}  // namespace coho::trainer
