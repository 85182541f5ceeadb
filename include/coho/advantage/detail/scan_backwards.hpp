#pragma once

#include <cstddef>
#include <span>

namespace coho::inline v0_1::detail {

/// Calls step(t, state) for the tokens t of each sequence from last to first; `state` starts each sequence as State{}.
/// For recursions such as G_t = r_t + γ·G_{t+1}.
template <class State, class Step>
void scan_backwards(std::span<const std::size_t> offsets, const Step& step) {
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    State state{};
    for (std::size_t t = offsets[i + 1]; t > offsets[i];) step(--t, state);
  }
}

}  // namespace coho::inline v0_1::detail
