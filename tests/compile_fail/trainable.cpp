// expect: coho::trainable (1): the model has no zero_gradients()
#include <span>
#include <vector>

#include <coho/require.hpp>

struct model {
  std::vector<std::span<float>> gradients();
#ifndef COHO_FAIL
  void zero_gradients();
#endif
};

static_assert(coho::require_trainable<model>());
