// expect: coho::policy (1): the model has no log_probs(const token_batch&)
#include <vector>

#include <coho/require.hpp>

struct model {
#ifndef COHO_FAIL
  std::vector<float> log_probs(const coho::token_batch&);
#endif
};

static_assert(coho::require_policy<model>());
