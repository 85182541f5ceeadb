#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

namespace coho::inline v0_1::detail {

/// Sorts; equal elements keep their order. std::stable_sort uses a buffer that GCC 12's library calls deprecated, and
/// clang 19 warns at the call.
template <class Less>
void stable_sort(std::vector<std::size_t>& values, const Less& less) {
  std::vector<std::size_t> places(values.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
    return less(values[a], values[b]) || (!less(values[b], values[a]) && a < b);
  });
  for (std::size_t& place : places) place = values[place];
  values = std::move(places);
}

}  // namespace coho::inline v0_1::detail
