#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <coho/eigen/as_array.hpp>

namespace coho::inline v0_1::detail {

/// Calls step(t, state) for the tokens t of each sequence from last to first, starting from a fresh State.
template <class State, class Step>
void scan_backwards(std::span<const std::size_t> offsets, const Step& step) {
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    State state{};
    for (std::size_t t = offsets[i + 1]; t > offsets[i];) step(--t, state);
  }
}

/// Whether no number is NaN or infinite.
template <class Number>
bool all_finite(const array_of<Number>& x) noexcept {
  constexpr Eigen::Index part = 1024;
  Number defect = 0;
  for (Eigen::Index begin = 0; begin < x.size(); begin += part) {
    const auto some = x.segment(begin, std::min(part, x.size() - begin));
    defect += (some - some).sum();
  }
  return defect == 0;
}

}  // namespace coho::inline v0_1::detail
