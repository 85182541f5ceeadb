#pragma once

#include <cstddef>
#include <span>

namespace coho::inline v0_1::detail {

/// Calls step(t, state) for the tokens t of each sequence from last to first; `start(i)` is the state in which sequence
/// i starts.
template <class Start, class Step>
void scan_backwards(std::span<const std::size_t> offsets, const Start& start, const Step& step) {
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    auto state = start(i);
    for (std::size_t t = offsets[i + 1]; t > offsets[i];) step(--t, state);
  }
}

/// Calls step(t, state) for the tokens t of each sequence from last to first; `state` starts each sequence as State{}.
/// For recursions such as G_t = r_t + γ·G_{t+1}.
template <class State, class Step>
void scan_backwards(std::span<const std::size_t> offsets, const Step& step) {
  scan_backwards(
      offsets, [](std::size_t) { return State{}; }, step);
}

}  // namespace coho::inline v0_1::detail
