#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace coho::trainer {

/// A set of hashes, at 9 to 12 bytes each: enough to tell whether a text was seen before without keeping texts. It
/// grows part by part, so that growing takes no memory to speak of.
class hash_set {
 public:
  /// Whether it is new. 0 is reserved and counts as 1.
  bool insert(std::uint64_t hash) {
    if (hash == 0) hash = 1;
    const std::uint64_t mixed = mix(hash);
    part& own = parts_[mixed >> 58];
    if (8 * (own.count + 1) > 7 * own.slots.size()) own.grow();
    const bool is_new = own.insert(hash, mixed);
    count_ += is_new;
    return is_new;
  }
  std::size_t size() const noexcept { return count_; }
  /// Bytes of memory; 1/50 more while growing.
  std::size_t bytes() const noexcept {
    std::size_t out = 0;
    for (const auto& one : parts_) out += one.slots.capacity() * sizeof(std::uint64_t);
    return out;
  }

 private:
  /// Spreads hashes over parts and slots.
  static constexpr std::uint64_t mix(std::uint64_t hash) { return hash * 0x9E3779B97F4A7C15; }

  /// Linear probing; hashes are not 0, which marks a free slot.
  struct part {
    std::vector<std::uint64_t> slots{};
    std::size_t count = 0;

    bool insert(std::uint64_t hash, std::uint64_t mixed) {
      for (std::size_t at = ((mixed >> 26 & 0xFFFFFFFF) * slots.size()) >> 32;;
           at = at + 1 < slots.size() ? at + 1 : 0) {
        if (slots[at] == hash) return false;
        if (slots[at] != 0) continue;
        slots[at] = hash;
        ++count;
        return true;
      }
    }
    /// By a quarter: between 7/10 and 7/8 of the slots are used.
    void grow() {
      const auto old = std::exchange(slots, std::vector<std::uint64_t>(slots.size() + slots.size() / 4 + 16));
      count = 0;
      for (const auto hash : old)
        if (hash != 0) insert(hash, mix(hash));
    }
  };

  std::array<part, 64> parts_;
  std::size_t count_ = 0;
};

}  // namespace coho::trainer
