// expect: coho::trainable (2): the model has neither gradients(), a range of contiguous ranges of numbers, nor
#include <span>
#include <vector>

#include <coho/require.hpp>

struct model {
  void zero_gradients();
#ifndef COHO_FAIL
  std::vector<std::span<float>> gradients();
#else
  std::vector<float> gradients();
#endif
};

static_assert(coho::require_trainable<model>());
