// expect: coho::policy (1): log_probs(const token_batch&) returns no contiguous range of floating-point numbers
#include <vector>

#include <coho/require.hpp>

struct model {
#ifndef COHO_FAIL
  std::vector<float> log_probs(const coho::token_batch&);
#else
  std::vector<int> log_probs(const coho::token_batch&);
#endif
};

static_assert(coho::require_policy<model>());
