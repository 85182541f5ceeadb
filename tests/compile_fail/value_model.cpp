// expect: coho::value_model (1): the model has no values(const token_batch&)
#include <vector>

#include <coho/require.hpp>

struct model {
#ifndef COHO_FAIL
  std::vector<float> values(const coho::token_batch&);
#endif
};

static_assert(coho::require_value_model<model>());
