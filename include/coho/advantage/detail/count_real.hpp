#pragma once

#include <cstddef>

namespace coho::inline v0_1::detail {

/// The number of tokens in [begin, end) whose mask is not 0.
template <class Mask>
std::size_t count_real(const Mask& mask, std::size_t begin, std::size_t end) {
  std::size_t count = 0;
  for (std::size_t t = begin; t < end; ++t) count += mask[t] != 0;
  return count;
}

}  // namespace coho::inline v0_1::detail
