#pragma once

#include <array>

namespace coho::trainer {

/// What the forward pass keeps for the backward pass, from most to least memory.
enum class recomputation {
  none,       ///< everything that backward reads
  selective,  ///< without elementwise results that can be recomputed: normed inputs, silu(gate) ∘ up. No matrix product
              ///< is repeated
  full  ///< the input of each block; backward runs the block again (Chen et al. 2016): a third more arithmetic
};
/// The spelling of recipes.
constexpr auto option_names(recomputation) { return std::array{"none", "selective", "full"}; }

}  // namespace coho::trainer
