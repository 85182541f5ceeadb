#pragma once

namespace coho::trainer {

/// What the forward pass keeps for the backward pass, from most to least memory.
enum class recomputation {
  none,       ///< everything that backward reads
  selective,  ///< not what elementwise work makes again: normed inputs, silu(gate) ∘ up. No matrix product is done
              ///< twice
  full        ///< the input of each block; backward runs the block again (Chen et al. 2016): a third more arithmetic
};

}  // namespace coho::trainer
