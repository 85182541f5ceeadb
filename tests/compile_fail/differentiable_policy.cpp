// expect: coho::differentiable_policy (1): the model has no forward(const token_batch&)
#include <utility>
#include <vector>

#include <coho/require.hpp>

struct model {
  std::vector<float> log_probs(const coho::token_batch&);
#ifndef COHO_FAIL
  struct output {
    std::vector<float> log_probs;
  };
  std::pair<output, void (*)(coho::policy_gradient)> forward(const coho::token_batch&);
#endif
};

static_assert(coho::require_differentiable_policy<model>());
