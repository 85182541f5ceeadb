#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace coho::trainer {

/// How many texts have each length: exact quantiles, in memory that grows with the number of different lengths only.
///
///     length_counts counts;
///     for (const auto& text : texts) counts.add(text.size());
///     counts.quantile(50);  // the median
class length_counts {
 public:
  void add(std::size_t length) {
    ++counts_[length];
    ++size_;
  }
  std::size_t size() const noexcept { return size_; }

  /// The smallest length that at least `percent` of 100 texts do not exceed: 0 is the shortest, 100 the longest. 0
  /// without texts.
  std::size_t quantile(std::uint64_t percent) const {
    const auto wanted = (size_ * percent + 99) / 100;
    std::size_t seen = 0;
    for (const auto& [length, count] : counts_) {
      seen += count;
      if (seen >= wanted) return length;
    }
    return 0;
  }

 private:
  std::map<std::size_t, std::size_t> counts_;
  std::size_t size_ = 0;
};

}  // namespace coho::trainer
