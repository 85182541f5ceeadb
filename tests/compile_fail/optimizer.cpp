// expect: coho::optimizer (1): the optimizer has no step(double learning_rate)
#include <coho/require.hpp>

struct adam {
#ifndef COHO_FAIL
  void step(double learning_rate);
#else
  void step();
#endif
};

static_assert(coho::require_optimizer<adam>());
