#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace coho::test {

/// Pearson's test that counts come from the given probabilities: true when the statistic is below the value that chance
/// exceeds once in ten thousand (Wilson–Hilferty). Cells of probability 0 must be empty.
inline bool fits(std::span<const std::size_t> counts, std::span<const double> probabilities) {
  if (counts.size() != probabilities.size()) return false;
  double total = 0, statistic = 0, cells = 0;
  for (const auto count : counts) total += static_cast<double>(count);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = probabilities[i] * total, found = static_cast<double>(counts[i]);
    if (expected == 0) {
      if (counts[i] != 0) return false;
      continue;
    }
    statistic += (found - expected) * (found - expected) / expected;
    ++cells;
  }
  const double freedom = cells - 1, spread = 2.0 / (9.0 * freedom);
  return freedom < 1 || statistic < freedom * std::pow(1.0 - spread + 3.719 * std::sqrt(spread), 3.0);
}

}  // namespace coho::test
