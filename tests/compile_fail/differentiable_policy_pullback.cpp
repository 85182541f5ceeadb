// expect: coho::differentiable_policy (2): the second of forward's pair is not callable with a policy_gradient
#include <utility>
#include <vector>

#include <coho/require.hpp>

struct model {
  struct output {
    std::vector<float> log_probs;
  };
  std::vector<float> log_probs(const coho::token_batch&);
#ifndef COHO_FAIL
  std::pair<output, void (*)(coho::policy_gradient)> forward(const coho::token_batch&);
#else
  std::pair<output, void (*)(double)> forward(const coho::token_batch&);
#endif
};

static_assert(coho::require_differentiable_policy<model>());
